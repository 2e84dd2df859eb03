"""The `labels` of nnU-Net's `dataset.json`: classes, the ignored label, and regions made of several labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkit.data.class_file import ClassFile
from segkit.data.formats._dataset_json import class_id, objects_under
from segkit.errors import UnreadableFileError


def read_labels(path: Path, content: dict[str, Any]) -> tuple[ClassFile, tuple[str, ...]]:
    """The classes, and what to say about them.

    Regions overlap ("whole tumour" = 1, 2, 3; "core" = 2, 3), and a mask has one class per pixel: the labels as stored
    are the classes, each named after the smallest region it belongs to. The label `ignore` is not counted.

    Raises:
        UnreadableFileError: no labels, or ids that are none.
        UsageError: an id that two labels have.
    """
    labels = objects_under(path, content, "labels")
    regions = {name: _region(path, name, value) for name, value in labels.items()}
    if all(len(ids) == 1 for ids in regions.values()):
        return ClassFile.from_ids({name: ids[0] for name, ids in regions.items()}, str(path)), ()
    names = _smallest_regions(regions)
    listed = ", ".join(f"{id_} {name}" for name, id_ in names.items())
    note = f"regions overlap, so the labels they are made of are learnt, named after the smallest region: {listed}"
    return ClassFile.from_ids(names, str(path)), (note,)


def _region(path: Path, name: str, value: object) -> tuple[int, ...]:
    """The ids of a label: one, or several where it is a region."""
    values = value if isinstance(value, list) else [value]
    if not values:
        raise UnreadableFileError(path, f"the label {name!r} has no id")
    return tuple(dict.fromkeys(class_id(path, one, name) for one in values))


def _smallest_regions(regions: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """Name -> id, with the id in parentheses where one region is the smallest for several."""
    smallest = {
        id_: min((name for name, ids in regions.items() if id_ in ids), key=lambda name: len(regions[name]))
        for id_ in sorted({id_ for ids in regions.values() for id_ in ids})
    }
    taken = list(smallest.values())
    return {name if taken.count(name) == 1 else f"{name} ({id_})": id_ for id_, name in smallest.items()}
