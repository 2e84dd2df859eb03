"""The Medical Segmentation Decathlon: a `dataset.json` that lists images with their labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from segkit.data.class_file import ClassFile
from segkit.data.findings import Finding, shown
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._dataset_json import (
    DATASET_FILE,
    class_id,
    is_there,
    named_file,
    objects_under,
    peek,
    read_dataset_json,
)
from segkit.data.formats._examples import scenes, write_json
from segkit.data.formats._folders import find_class_file, finding_of_files
from segkit.data.formats._json import kind_of
from segkit.data.image_io import write_image
from segkit.data.readers._base import cut_suffix
from segkit.data.rules import finding
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder
from segkit.ops.words import counted
from segkit.structures import Record, TaskName

LISTS = {"training": "train", "validation": "val", "test": "test"}
"""The lists of a `dataset.json` and the split each means; of the Decathlon's own sets `training` alone has labels."""


@FORMATS.register("decathlon")
class Decathlon:
    """`dataset.json` with `labels` and `training: [{image, label}, ...]`, mostly of NIfTI volumes.

    The fourth axis of a volume holds channels. Read too are the `validation` and `test` lists with labels that other
    tools add, and the channel files `NAME_0000`, `NAME_0001` of nnU-Net's first version, whose list names `NAME`.

    Source: A. Simpson et al., A large annotated medical image dataset for the development and evaluation of
    segmentation algorithms, arXiv:1902.09063, 2019.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether a `dataset.json` in the folder has labels and a list `training`, and is not nnU-Net's."""
        content = peek(root)
        return isinstance(content.get("training"), list) and "labels" in content and "channel_names" not in content

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records.

        Raises:
            DataError: no `dataset.json`, or no image in it has a label.
            UnreadableFileError: a `dataset.json` that is not what it should be.
        """
        path, content = read_dataset_json(root)
        classes = _classes(path, content)
        entries = [entry for key in LISTS for entry in _entries(path, content, key)]
        by_code: dict[str | None, list[_Entry]] = {}
        for entry in entries:
            by_code.setdefault(entry.problem, []).append(entry)
        usable = by_code.get(None, [])
        if not usable:
            raise DataError(
                f"{path} names no image with a label so that both are there; paths in it start from its folder"
            )
        ids = _ids(root, [entry.image for entry in entries])
        has_parts = any(entry.split != "train" for entry in usable)
        records = {ids[entry.image]: _record(entry, ids[entry.image], has_parts) for entry in usable}
        assigned = apply_split_files(root, list(records.values()), list(ids.values()))
        repeated = [image for image, number in Counter(entry.image for entry in usable).items() if number > 1]
        return Listing(
            root=root,
            layout="Medical Segmentation Decathlon (and nnU-Net version 1)",
            task="segment",
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(root),
            declared=classes,
            channel_names=_channel_names(content),
            notes=(*_notes(entries), *assigned.notes),
            findings=(
                *_absent(by_code, root),
                *_listed_twice(repeated, root, ids),
                *assigned.findings,
            ),
        )

    def example(self, root: Path) -> None:
        """Write four images with two objects each, 2-D as 8-bit PNG: the layout is not bound to volumes."""
        training = []
        for number, (image, mask) in enumerate(scenes(4), start=1):
            name = f"objects_{number:03d}.png"
            write_image(make_folder(root / "imagesTr") / name, image)
            write_image(make_folder(root / "labelsTr") / name, mask)
            training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
        content = {
            "name": "Objects",
            "tensorImageSize": "2D",
            "modality": {"0": "microscopy"},
            "labels": {"0": "background", "1": "bright", "2": "dark"},
            "numTraining": len(training),
            "numTest": 0,
            "training": training,
            "test": [],
        }
        write_json(root / DATASET_FILE, content)


@dataclass(frozen=True)
class _Entry:
    """An image that a `dataset.json` lists, its label where it names one, and the part its list means."""

    image: Path
    label: Path | None
    split: str

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The image, or where it is not there its channels `NAME_0000`, `NAME_0001` as nnU-Net calls them."""
        stem, suffix = cut_suffix(self.image.name)
        files: list[Path] = []
        if not is_there(self.image):
            while is_there(self.image.with_name(f"{stem}_{len(files):04d}{suffix}")):
                files.append(self.image.with_name(f"{stem}_{len(files):04d}{suffix}"))
        return tuple(files) or (self.image,)

    @property
    def problem(self) -> str | None:
        """The code of what makes the entry unusable, "" where it just has no label, None where it is usable."""
        if self.label is None:
            return ""
        if not is_there(self.files[0]):
            return "missing-image"
        return None if is_there(self.label) else "missing-mask"


def _classes(path: Path, content: dict[str, Any]) -> ClassFile:
    """The classes of `labels`, id -> name; some tools write name -> id."""
    ids: dict[str, int] = {}
    for key, value in objects_under(path, content, "labels").items():
        name, number = (
            (value, int(key)) if isinstance(value, str) and key.isdecimal() and len(key) < 6 else (key, value)
        )
        if name in ids:
            raise UnreadableFileError(path, f"'labels' has the name {name!r} twice; names of classes are unique")
        ids[name] = class_id(path, number, name)
    return ClassFile.from_ids(ids, str(path))


def _entries(path: Path, content: Mapping[str, Any], key: str) -> Iterator[_Entry]:
    listed = content.get(key, [])
    if not isinstance(listed, list):
        raise UnreadableFileError(path, f"{key!r} is {kind_of(listed)}, and a list of images is expected")
    for position, entry in enumerate(listed):
        where = f"{key}[{position}]"
        if isinstance(entry, dict):
            image = named_file(path, entry.get("image"), f"{where}.image")
            label = named_file(path, entry["label"], f"{where}.label") if "label" in entry else None
            yield _Entry(image, label, LISTS[key])
        else:
            yield _Entry(named_file(path, entry, where), None, LISTS[key])


def _ids(root: Path, images: Sequence[Path]) -> dict[Path, str]:
    """Image -> its name without suffix, with its folders where several have one name."""
    names = {image: cut_suffix(image.name)[0] for image in images}
    if len(set(names.values())) == len(names):
        return names
    below = {image: image.relative_to(root) if image.is_relative_to(root) else image for image in names}
    return {image: cut_suffix(path.as_posix())[0] for image, path in below.items()}


def _record(entry: _Entry, id_: str, has_parts: bool) -> Record:
    split = entry.split if has_parts else None
    return Record(id_, entry.files[0], entry.label, split=split, channel_files=entry.files[1:])


def _absent(by_code: Mapping[str | None, Sequence[_Entry]], root: Path) -> Iterator[Finding]:
    """The findings about images and labels that are listed and not there."""
    for code, what in (("missing-image", "image"), ("missing-mask", "label")):
        message = f"images ({{n}}) whose {what} {DATASET_FILE} lists and that is not there"
        yield from finding_of_files(code, message, [entry.image for entry in by_code.get(code, ())], root)


def _listed_twice(images: Sequence[Path], root: Path, ids: Mapping[Path, str]) -> list[Finding]:
    if not images:
        return []
    message = f"images that {DATASET_FILE} lists more than once ({len(images)}): keep one entry each"
    return [finding("duplicate-id", message, [shown(image, root) for image in images], [ids[i] for i in images])]


def _channel_names(content: Mapping[str, Any]) -> tuple[str, ...]:
    modality = content.get("modality")
    return tuple(map(str, modality.values())) if isinstance(modality, dict) else ()


def _notes(entries: Sequence[_Entry]) -> Iterator[str]:
    without = sum(entry.label is None for entry in entries)
    if without:
        yield f"left out: {counted(without, 'image')} that {DATASET_FILE} lists without a label"
