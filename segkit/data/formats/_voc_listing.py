"""Records of Pascal VOC's layout: masks or boxes with their images, the lists of parts, and what the masks mean."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.class_file import ClassFile, read_class_file
from segkit.data.findings import Finding, shown
from segkit.data.formats._base import Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._folders import find_class_file, finding_of_files
from segkit.data.formats._image_search import ImageSearch, none_there, where_to_put
from segkit.data.formats._marked import foreground_of
from segkit.data.formats._voc_files import VocAnnotation, VocFiles, VocObject, read_annotation, read_sets
from segkit.data.image_io import read_mask
from segkit.data.rules import finding
from segkit.data.split_files import assign_parts
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.words import counted
from segkit.structures import PARTS, Annotation, Box, MaskFile, ObjectAnnotation, Record, TaskName

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The classes of the challenges 2007 to 2012 in the order of their ids in masks."""

VOID = 255
"""Value of pixels in masks that are not counted."""

_VOC_NAME = re.compile(r"(19|20)\d\d_\d{6}")
_COMPARED = 3
"""Masks that are read to tell whether they mean what the annotations say."""


@dataclass
class _Voc:
    """Everything that was found, and what is to be said about it."""

    root: Path
    files: VocFiles
    annotations: dict[str, VocAnnotation] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    from_one: bool = True
    numbered: bool = False


def list_voc(root: Path, files: VocFiles, task: TaskName | None) -> Listing:
    """The listing of these files; raises `DataError` where neither masks nor boxes can be read."""
    voc = _Voc(root, files)
    masks = files.masks or files.object_masks
    # VOC 2012 has 17,125 annotations and 2,913 masks: to segment, the others need no reading.
    _read_annotations(voc, files.annotations.keys() & masks.keys() if masks and task != "detect" else files.annotations)
    offered: list[TaskName] = []
    if masks:
        offered.append("segment")
    if voc.annotations:
        offered.append("detect")
    if not offered:
        reasons = "".join(f"; {file}: {reason}" for file, reason in list(voc.broken.items())[:3])
        raise DataError(f"{root} holds no masks and no annotations that can be read{reasons}")
    chosen = task if task in offered else offered[0]
    records = list(_segment_records(voc) if chosen == "segment" else _detect_records(voc))
    records = _with_parts(voc, records, chosen)
    assigned = apply_split_files(files.base, records)
    class_file, declared = _classes(voc, chosen)
    return Listing(
        root=root,
        layout=files.layout,
        task=chosen,
        records=tuple(sorted(assigned.records, key=lambda record: record.id)),
        class_file=class_file,
        declared=declared,
        numbered=voc.numbered,
        notes=(*voc.notes, *assigned.notes),
        findings=(*voc.findings, *assigned.findings),
    )


def _read_annotations(voc: _Voc, ids: Collection[str]) -> None:
    """Read annotation files; one that cannot be read is no reason not to read the others."""
    for id_ in sorted(ids):
        file = voc.files.annotations[id_]
        try:
            voc.annotations[id_] = read_annotation(file)
        except UnreadableFileError as error:
            voc.broken[shown(file, voc.root)] = error.reason
        except DataError as error:
            voc.broken[shown(file, voc.root)] = str(error)
    starts = [min(one.edges[:2]) for annotation in voc.annotations.values() for one in annotation.objects]
    voc.from_one = min(starts, default=1) >= 1
    if not voc.from_one:
        voc.notes.append("boxes begin at 0: they are read as edges, not as VOC's pixels, which count from 1")


def _segment_records(voc: _Voc) -> Iterator[Record]:
    """Images with masks, drawn from the masks of objects where there are none of classes."""
    files = voc.files
    masks = files.masks or files.object_masks
    with_objects = _objects_follow_annotations(voc)
    drawn = not files.masks and with_objects and masks.keys() <= voc.annotations.keys()
    voc.numbered = not files.masks and not drawn
    orphans = [mask for id_, mask in masks.items() if id_ not in files.images]
    voc.findings += finding_of_files("orphan-mask", "masks without an image ({n}) are left out", orphans, voc.root)
    if voc.broken:
        voc.notes.append(f"left out, because the masks do without them: {counted(len(voc.broken), 'broken XML file')}")
    for id_, mask in masks.items():
        if id_ in files.images:
            objects = _annotation(voc, id_, with_objects, drawn) if id_ in voc.annotations else None
            yield Record(id_, files.images[id_], mask=None if drawn else mask, annotation=objects)


def _detect_records(voc: _Voc) -> Iterator[Record]:
    with_objects = _objects_follow_annotations(voc)
    search = ImageSearch(voc.files.base)
    absent = []
    for id_ in voc.annotations:
        image = voc.files.images.get(id_) or search.find(_image_name(voc, id_), voc.files.base)
        if image is None:
            absent.append(voc.files.annotations[id_])
        else:
            yield Record(id_, image, annotation=_annotation(voc, id_, with_objects))
    if absent and len(absent) == len(voc.annotations):
        raise none_there(voc.root, [_image_name(voc, id_) for id_ in voc.annotations], voc.files.base)
    if voc.files.repeated:
        twice = sorted(voc.files.repeated)
        files = [shown(voc.files.annotations[id_], voc.root) for id_ in twice]
        message = f"images with several annotation files ({len(twice)}): keep one of each"
        voc.findings.append(finding("duplicate-id", message, files, twice))
    message = f"annotations whose image is not there ({{n}}): {where_to_put(voc.files.base)}"
    voc.findings += finding_of_files("missing-image", message, absent, voc.root)
    if voc.broken:
        reasons = "; ".join(f"{file}: {reason}" for file, reason in list(voc.broken.items())[:3])
        message = f"{counted(len(voc.broken), 'annotation')} cannot be read ({reasons}); export or correct them"
        voc.findings.append(finding("unreadable-annotation", message, voc.broken))


def _image_name(voc: _Voc, id_: str) -> str:
    return voc.annotations[id_].filename or id_


def _annotation(voc: _Voc, id_: str, with_objects: bool, with_void: bool = False) -> Annotation:
    """The objects of an image, their regions in the mask that numbers them."""
    annotation, mask = voc.annotations[id_], voc.files.object_masks.get(id_) if with_objects else None
    objects = [
        ObjectAnnotation(
            label=one.label,
            box=box_of_edges(one.edges, voc.from_one),
            region=None if mask is None else MaskFile(mask, number),
            ignored=one.difficult,
        )
        for number, one in enumerate(annotation.objects, start=1)
    ]
    if with_void and mask is not None and len(objects) < VOID:
        objects.append(ObjectAnnotation("void", region=MaskFile(mask, VOID), ignored=True))
    return Annotation(tuple(objects), voc.files.annotations[id_], annotation.size)


def box_of_edges(edges: Box, from_one: bool) -> Box:
    """A box from what the file states: first and last pixel, counted from 1, or edges."""
    left, top, right, bottom = edges
    if not from_one:
        return edges
    if left == right and top == bottom:
        return left - 1, top - 1, right - 1, bottom - 1
    return left - 1, top - 1, right, bottom


def _with_parts(voc: _Voc, records: Sequence[Record], task: TaskName) -> list[Record]:
    """The records with the parts that lists or folders name, and what the lists name that has no target."""
    files = voc.files
    known = {*files.images, *files.annotations, *files.masks, *files.object_masks}
    source, named = read_sets(files.base, "Segmentation" if task == "segment" else "Main", known)
    targets = {record.id for record in records}
    without = sorted(files.images.keys() - targets - (set() if task == "segment" else files.annotations.keys()))
    if not source:
        if without:
            voc.notes.append(f"left out, because nothing is marked in them: {counted(len(without), 'image')}")
        return [_replaced(record, files.folder_splits.get(record.id)) for record in records]
    assigned = assign_parts(records, named, known)
    voc.findings += assigned.findings(source, records)
    voc.notes.append(f"splits from {source}")
    listed, parts = source.endswith("Segmentation" if task == "segment" else "Main"), dict(named)
    _say_unmarked(voc, without, parts if listed else {}, {parts[id_] for id_ in targets & parts.keys()}, task)
    return list(assigned.records)


def _say_unmarked(
    voc: _Voc, without: Sequence[str], parts: Mapping[str, str], marked_parts: set[str], task: TaskName
) -> None:
    """Images without a target: those of a part that has targets are missing, the others were never to have any."""
    missing = [id_ for id_ in without if parts.get(id_) in marked_parts]
    bare = [part for part in PARTS if part not in marked_parts and any(parts.get(id_) == part for id_ in without)]
    if bare:
        message = f"images of {', '.join(bare)}, for which there is no annotation at all, are left out"
        voc.findings.append(finding("unlabelled-split", message))
    if missing:
        images = [voc.files.images[id_] for id_ in missing]
        what, code = ("mask", "missing-mask") if task == "segment" else ("annotation", "unreadable-annotation")
        message = f"images without a{'n' * (what[0] == 'a')} {what} ({{n}}): add it, or take the images out"
        voc.findings += finding_of_files(code, message, images, voc.root)
    others = len(without) - len(missing) - sum(parts.get(id_) in bare for id_ in without)
    if others:
        voc.notes.append(f"left out, because nothing is marked in them: {counted(others, 'image')}")


def _replaced(record: Record, part: str | None) -> Record:
    return record if part is None else Record(record.id, record.image, split=part, annotation=record.annotation)


def _classes(voc: _Voc, task: TaskName) -> tuple[Path | None, ClassFile | None]:
    """The class file beside the data, else what the masks and annotations tell; labelme's is about masks alone."""
    file, names = find_class_file(voc.files.base), voc.files.base / "class_names.txt"
    if task == "detect":
        return None, None if file is None else foreground_of(read_class_file(file))
    if file is None and names.is_file():
        return names, None
    return file, _declared(voc) if file is None and voc.files.masks else None


def _declared(voc: _Voc) -> ClassFile | None:
    """VOC's classes, where the annotations name no others and a few masks hold their ids, or all names are VOC's."""
    labels = {one.label for annotation in voc.annotations.values() for one in annotation.objects}
    if labels:
        fits = labels <= set(VOC_CLASSES[1:]) and all(_holds_ids(voc, id_) for id_ in _compared(voc, voc.files.masks))
    else:
        fits = all(_VOC_NAME.fullmatch(id_) for id_ in voc.files.masks)
    return ClassFile.from_names(VOC_CLASSES, "Pascal VOC's 20 classes") if fits else None


def _holds_ids(voc: _Voc, id_: str) -> bool:
    """Whether a class mask holds no other ids than those of the objects that the annotation names."""
    values = _values(voc.files.masks[id_])
    named = {VOC_CLASSES.index(one.label) for one in voc.annotations[id_].objects}
    return values is None or set(np.unique(values).tolist()) <= {0, VOID, *named}


def _objects_follow_annotations(voc: _Voc) -> bool:
    """Whether the numbers in object masks are the positions in the annotation files, judged by the boxes of a few."""
    compared = _compared(voc, voc.files.object_masks)
    return bool(compared) and all(_lie_in_boxes(voc, id_) for id_ in compared)


def _lie_in_boxes(voc: _Voc, id_: str) -> bool:
    values = _values(voc.files.object_masks[id_])
    if values is None:
        return True
    objects: Sequence[VocObject] = voc.annotations[id_].objects
    numbers = set(np.unique(values).tolist()) - {0, VOID}
    if not numbers <= set(range(1, len(objects) + 1)):
        return False
    boxes = {number: box_of_edges(objects[number - 1].edges, voc.from_one) for number in numbers}
    return all(_agree(box, values == number) for number, box in boxes.items())


def _agree(box: Box, pixels: NDArray[np.bool_]) -> bool:
    """Whether at least half of the smallest box around some pixels lies in a box: parts of them may be hidden."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    left, top, right, bottom = float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)
    across, down = min(right, box[2]) - max(left, box[0]), min(bottom, box[3]) - max(top, box[1])
    return 2 * max(across, 0.0) * max(down, 0.0) >= (right - left) * (bottom - top)


def _compared(voc: _Voc, masks: Mapping[str, Path]) -> list[str]:
    """A few images that have a mask and an annotation with objects."""
    both = [id_ for id_ in sorted(masks) if id_ in voc.annotations and voc.annotations[id_].objects]
    return both[:_COMPARED]


def _values(mask: Path) -> NDArray[Any] | None:
    try:
        return read_mask(mask)
    except UnreadableFileError:
        return None  # the check names it
