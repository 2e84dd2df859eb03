"""What stands against a class map, in words: values, colours and files that are no class, and how to solve it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from segkit.data.class_file import ClassFile
from segkit.data.facts import MaskFacts
from segkit.data.findings import Finding
from segkit.data.rules import finding
from segkit.data.voc_colors import voc_ids
from segkit.structures import ClassMap

LISTED = 12
SMOOTHED = 32
"""So many unknown values come from smoothing or JPEG, not from classes."""


def unknown_ids(
    targets: Mapping[int, int], classes: ClassFile, holders: Mapping[int, list[str]], num_masks: int, is_declared: bool
) -> list[Finding]:
    """A finding about stored values whose id is no class, or none.

    Args:
        targets: stored value -> the id it stands for.
        classes: declared, or inferred up to the first gap.
        holders: stored value -> the ids of the records whose masks hold it.
        num_masks: masks in the data set.
        is_declared: the classes were declared.
    """
    unknown = sorted(value for value, id_ in targets.items() if id_ not in classes.ids)
    if not unknown:
        return []
    code, concerned = "unknown-id", _concerned(unknown, holders)
    values = f"mask values {_listed(unknown)} (in {len(concerned)} of {num_masks} masks)"
    if len(unknown) > SMOOTHED:
        message = f"{values} are traces of smoothing or JPEG; export the masks anew as PNG, without smoothing"
    elif is_declared:
        message = (
            f"{values} are no class of {classes.source} ({list_classes(classes)}); give '--map {unknown[0]}=ID' "
            f"or '--ignore {','.join(map(str, unknown))}', or declare them as classes"
        )
    else:
        ids = sorted(set(targets.values()))
        closed = [(value, ids.index(id_)) for value, id_ in sorted(targets.items(), key=lambda pair: pair[::-1])]
        pairs = ",".join(f"{value}={id_}" for value, id_ in closed if value != id_)
        code = "gap-in-ids"
        message = (
            f"{values} leave a gap, class ids are 0, 1, 2, ... (found: {_listed(sorted(holders))}); "
            f"give '--map {pairs}', or declare the classes that are absent with --classes FILE|NAMES"
        )
    return [finding(code, message, records=concerned)]


def unknown_colors(
    unknown: Collection[int], holders: Mapping[int, list[str]], num_masks: int, declared: ClassFile | None
) -> list[Finding]:
    """A finding about packed colours that no class has, or none; the arguments are those of `unknown_ids`."""
    if not unknown:
        return []
    concerned = _concerned(unknown, holders)
    colors = _listed([(value >> 16, value >> 8 & 255, value & 255) for value in sorted(unknown)])
    if len(unknown) > SMOOTHED and len(unknown) > len(declared.colors if declared else ()):
        message = (
            f"{len(unknown)} mask colours that are no class, {colors} (in {len(concerned)} of {num_masks} masks), "
            "are traces of smoothing or JPEG; export the masks anew as PNG, without smoothing"
        )
    elif declared and declared.colors:
        message = (
            f"mask colours {colors} (in {len(concerned)} of {num_masks} masks) are no class of {declared.source}; "
            "add them there, with the name void where they are not to be counted"
        )
    else:
        message = f"masks hold colours and nothing says which classes they are: {colors}; {_cure(holders, declared)}"
    return [finding("unknown-id", message, records=concerned)]


def _cure(holders: Mapping[int, list[str]], declared: ClassFile | None) -> str:
    """What to write where colours mean nothing yet, in words that can be copied."""
    if declared:
        return f"give {declared.source} the columns r,g,b, or write a class file with the columns id,name,r,g,b"
    first = enumerate(sorted(holders)[:2])
    rows = " and ".join(f"{id_},NAME,{value >> 16},{value >> 8 & 255},{value & 255}" for id_, value in first)
    table = f"give a class file: --classes FILE.csv with the columns id,name,r,g,b, rows such as {rows}"
    ids = voc_ids(holders)
    if not ids:
        return table
    return f"{table}; or, as they are Pascal VOC's for the ids {_listed(ids)}, names alone: --classes NAME0,NAME1,..."


def not_binary(values: Collection[int], holders: Mapping[int, list[str]], num_masks: int) -> list[Finding]:
    """A finding about the masks that hold `values` in a set whose others hold 0 and 255 alone, or none."""
    if not values:
        return []
    concerned = _concerned(values, holders)
    message = (
        f"mask values {_listed(sorted(values))} (in {len(concerned)} of {num_masks} masks), where the others hold "
        "0 and 255 alone; export these masks as the others are, or give '--map 255=1' where 1 and 255 mean the same"
    )
    return [finding("unknown-id", message, records=concerned)]


def altered_values(masks: Mapping[str, MaskFacts], classes: ClassMap) -> list[Finding]:
    """A finding about masks in lossy files whose values are no class, or none."""
    concerned = [
        id_
        for id_, facts in masks.items()
        if classes.other is None and not facts.values.keys() <= classes.values.keys()
    ]
    message = f"masks in lossy files hold values that are no class ({len(concerned)}); export them as PNG"
    return [finding("unknown-id", message, records=concerned)] if concerned else []


def masks_in_color(records: Sequence[str], num_masks: int) -> list[Finding]:
    """A finding about masks in colour among masks of ids, or none."""
    message = (
        f"masks in colour among masks of class ids ({len(records)} of {num_masks}): "
        "an editor saved them anew, or smoothed them; export them as the others are"
    )
    return [finding("unknown-id", message, records=records)] if records else []


def unknown_class_files(classes: ClassFile, masks: Mapping[str, MaskFacts]) -> list[Finding]:
    """A finding about mask files, or marked objects, called like no class, or none."""
    concerned = [id_ for id_, facts in masks.items() if not facts.classes.keys() <= set(classes.names)]
    names = sorted({name for facts in masks.values() for name in facts.classes} - set(classes.names))
    what = "mask files" if any(facts.kind == "per-class" for facts in masks.values()) else "objects"
    message = f"{what} are called {_listed(names)}, which is no class of {classes.source} that counts; add it there"
    return [finding("unknown-id", message, records=concerned)] if concerned else []


def instance_ids(masks: Mapping[str, MaskFacts]) -> Finding:
    """The finding that masks number objects."""
    highest = max(max(facts.values, default=0) for facts in masks.values())
    message = (
        f"masks number objects (1 to {highest}) instead of naming classes; "
        "give '--map other=1' to learn object against background, '--task instances' to learn the objects one by one, "
        "or '--map VALUE=CLASS' for each number"
    )
    numbered = [id_ for id_, facts in masks.items() if max(facts.values, default=0) > 0]
    return finding("instance-ids", message, records=numbered)


def list_classes(classes: ClassFile) -> str:
    """Ids and names, for messages."""
    return _listed([f"{id_} {name}" for id_, name in zip(classes.ids, classes.names, strict=True)])


def _concerned(values: Iterable[int], holders: Mapping[int, list[str]]) -> list[str]:
    return sorted({id_ for value in values for id_ in holders[value]})


def _listed(items: Sequence[object]) -> str:
    more = f" and {len(items) - LISTED} more" if len(items) > LISTED else ""
    return ", ".join(map(str, items[:LISTED])) + more
