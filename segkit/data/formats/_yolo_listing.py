"""From a `data.yaml` to records: images with the objects of their label files, or with their masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from segkit.data.class_file import ClassFile
from segkit.data.findings import Finding, shown
from segkit.data.formats._base import Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._boxes import without_outline
from segkit.data.formats._folders import find_class_file, finding_of_files
from segkit.data.formats._ids import duplicate_ids, unique_ids
from segkit.data.formats._yolo_files import MASK_SUFFIXES, FoundImages, YoloFile, beside_images
from segkit.data.formats._yolo_labels import read_labels
from segkit.data.rules import finding
from segkit.errors import DataError
from segkit.ops.words import counted
from segkit.structures import Annotation, Record, TaskName

_ORPHANS = "label files without an image ({n}): add the images, or take the label files out"
_NO_LABELS = ("classes", "notes")


@dataclass
class ListedPart:
    """One part.

    Attributes:
        split: its name, None where all images are one.
        found: its images.
        records: those with what the task needs.
        unlabelled: images that have no mask.
        broken: label file, as shown to the user, -> why it cannot be read.
        labels: the label files.
    """

    split: str | None
    found: FoundImages
    records: list[Record] = field(default_factory=list)
    unlabelled: list[Path] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    labels: list[Path] = field(default_factory=list)


def with_labels(file: YoloFile, split: str | None, found: FoundImages, root: Path) -> ListedPart:
    """The images of a part with the objects of their label files."""
    listed = ListedPart(split, found)
    for name, image in found.files.items():
        path = beside_images(image, "labels", (".txt",))
        if path is None:
            listed.records.append(Record(name, image, split=split, annotation=Annotation((), file.path, relative=True)))
            continue
        listed.labels.append(path)
        try:
            objects = read_labels(path, file.names, file.has_keypoints)
        except DataError as error:
            listed.broken[shown(path, root)] = str(error)
        else:
            annotation = Annotation(objects, path, relative=True)
            listed.records.append(Record(name, image, split=split, annotation=annotation))
    return listed


def with_masks(
    file: YoloFile,
    split: str | None,
    found: FoundImages,
    root: Path,  # noqa: ARG001
) -> ListedPart:
    """The images of a part that have a mask."""
    listed = ListedPart(split, found)
    for name, image in found.files.items():
        mask = beside_images(image, str(file.masks_dir), MASK_SUFFIXES)
        if mask is None:
            listed.unlabelled.append(image)
        else:
            listed.records.append(Record(name, image, mask, split=split))
    return listed


def listing_of(root: Path, file: YoloFile, listed: Sequence[ListedPart], task: TaskName | None) -> Listing:
    """The listing of these parts for a task; raises `DataError` where no image has what the file promises."""
    if not any(one.records or one.broken for one in listed):
        raise DataError(_nothing_found(file, listed))
    records, id_notes = unique_ids([record for one in listed for record in one.records])
    objects = [one for record in records if record.annotation for one in record.annotation.objects]
    outlined = any(one.region is not None for one in objects)
    has_masks = any(record.mask is not None for record in records)
    chosen: TaskName = "segment" if has_masks or (outlined and task != "detect") else "detect"
    if not has_masks and not any(one.labels for one in listed):
        raise DataError(
            f"{file.path}: no image has a label file; labels/ mirrors images/, labels/x.txt for images/x.jpg"
        )
    folder = file.folders[-1]
    class_file = find_class_file(folder)
    assigned = apply_split_files(folder, records)
    boxed = without_outline(assigned.records, root) if chosen == "segment" else []
    return Listing(
        root=root,
        layout=f"YOLO {'masks' if has_masks else 'labels'}, {file.path.name}",
        task=chosen,
        records=tuple(sorted(assigned.records, key=lambda record: record.id)),
        class_file=None if class_file == file.path else class_file,
        declared=ClassFile.from_ids({name: id_ for id_, name in file.names.items()}, str(file.path)),
        notes=(*_moved(file, listed), *id_notes, *assigned.notes),
        findings=(*_findings(root, file, listed, assigned.records), *boxed, *assigned.findings),
    )


def _moved(file: YoloFile, listed: Sequence[ListedPart]) -> Iterator[str]:
    moved = {path: end for one in listed for path, end in one.found.moved.items()}
    if moved:
        path, end = next(iter(moved.items()))
        paths = f"{counted(len(moved), 'path')} of {file.path.name}"
        yield f"{paths} or its lists lead nowhere here and are read by their ends, for example {path} as {end}"


def _findings(root: Path, file: YoloFile, listed: Sequence[ListedPart], records: Sequence[Record]) -> Iterator[Finding]:
    missing = [name for one in listed for name in one.found.missing]
    if missing:
        message = (
            f"{file.path.name} names images that are not there ({len(missing)}): add them, take the names out, or "
            "write where they lie from its folder on, as in 'train: images/train'"
        )
        yield finding("missing-image", message, missing)
    broken = {path: reason for one in listed for path, reason in one.broken.items()}
    if broken:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in list(broken.items())[:3])
        message = f"{counted(len(broken), 'label file')} cannot be read ({reasons}); correct them"
        yield finding("unreadable-annotation", message, broken)
    yield from finding_of_files("orphan-mask", _ORPHANS, _labels_without_image(file, listed), root)
    unlabelled = [image for one in listed for image in one.unlabelled]
    message = f"images without a mask in {file.masks_dir}/ ({{n}}): add the masks, or take the images out"
    yield from finding_of_files("missing-mask", message, unlabelled, root)
    yield from duplicate_ids([image for one in listed for image in one.found.repeated], records, root)


def _labels_without_image(file: YoloFile, listed: Sequence[ListedPart]) -> list[Path]:
    """Text files among the labels that are of no image; lists may name some images of a folder on purpose."""
    if any(entry.endswith(".txt") for entries in file.parts.values() for entry in entries):
        return []
    used = {label for one in listed for label in one.labels}
    images = {image.parent for one in listed for image in one.found.files.values()}
    folders = {label.parent for label in used} - images
    found = {path for folder in folders for path in folder.glob("*.txt") if path.stem not in _NO_LABELS}
    return sorted(found - used)


def _nothing_found(file: YoloFile, listed: Sequence[ListedPart]) -> str:
    images = [image for one in listed for image in one.unlabelled]
    if images:
        return f"{file.path}: no image has a mask, for example {images[0]}; {file.masks_dir}/ mirrors images/"
    named = [name for one in listed for name in one.found.missing] or [str(entry) for entry in file.parts.values()]
    split, *_ = file.parts
    return (
        f"{file.path}: no image is there; it names {', '.join(named[:3])}, looked for in {file.path.parent}; "
        f"write the line '{split}: FOLDER', FOLDER the folder of the images as seen from there, like images/{split}"
    )
