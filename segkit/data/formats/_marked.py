"""From what an annotation tool says about its images to a listing: targets of one task, their classes, what is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from segkit.data.class_file import BACKGROUND_NAMES, IGNORED_NAMES, ClassFile, read_class_file
from segkit.data.findings import Finding, shown
from segkit.data.formats._base import Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._boxes import without_boxed_classes, without_outline
from segkit.data.formats._folders import find_class_file
from segkit.data.formats._ids import unique_ids
from segkit.data.formats._image_search import is_file, none_there, where_to_put
from segkit.data.formats._layout import find_layout
from segkit.data.formats._objects import region_box
from segkit.data.formats._shapes import rectangle
from segkit.data.rules import finding
from segkit.errors import DataError
from segkit.ops.words import counted
from segkit.structures import Annotation, Box, Color, ObjectAnnotation, Polygons, Record, RunLengths, TaskName

LISTED = 10


@dataclass(frozen=True)
class MarkedImage:
    """One image as its annotation describes it.

    Attributes:
        id: of the record.
        image: the file, whether it exists or not.
        source: the annotation's file.
        objects: in the order of painting; a box without region was drawn as a box.
        size: (H, W) as stated.
        labels: of the image as a whole.
        split: "train", "val" or "test" where the tool says so.
    """

    id: str
    image: Path
    source: Path
    objects: tuple[ObjectAnnotation, ...] = ()
    size: tuple[int, int] | None = None
    labels: tuple[str, ...] = ()
    split: str | None = None


@dataclass
class Export:
    """Everything that one tool's annotations say.

    Attributes:
        layout: said aloud.
        source: the file, or what else declares the classes.
        images: described by annotations that can be read.
        names: the classes in the tool's order, where it declares them.
        colors: one per name, or none.
        left_out: kind of shape that covers no area, or cannot be used -> number.
        broken: file, as shown to the user, -> why its annotation cannot be read.
        notes: what else to say.
    """

    layout: str
    source: str
    images: list[MarkedImage] = field(default_factory=list)
    names: tuple[str, ...] = ()
    colors: tuple[Color, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    broken: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def marked(label: str, shape: Polygons | RunLengths | Box, ignored: bool = False) -> ObjectAnnotation:
    """An object with its box; it is ignored where its label says so."""
    ignored = ignored or label.lower() in IGNORED_NAMES or label == "__ignore__"
    if isinstance(shape, tuple):
        return ObjectAnnotation(label, shape, ignored=ignored)
    return ObjectAnnotation(label, region_box(shape), shape, ignored)


def masks_beside(root: Path) -> bool:
    """Whether the folder has masks in files, which come before the annotations they were made from."""
    return bool(find_layout(root).parts)


def list_marked(root: Path, export: Export, task: TaskName | None) -> Listing:
    """The listing of an export for one of its targets; raises `DataError` where it has none, or no image is there.

    Outlines come before boxes, and boxes before labels, unless `task` asks for the others. To segment, boxes are
    rectangles where nothing has an outline, else not counted; to detect, outlines have boxes around them.
    """
    chosen = _choose(root, export, task)
    records, notes = _labelled(export) if chosen == "classify" else _with_objects(export, chosen)
    folder = root if root.is_dir() else root.parent
    absent = [one for one in export.images if not is_file(one.image)]
    if absent and len(absent) == len(export.images):
        raise none_there(root, [shown(one.image, root) for one in absent], folder)
    there = {one.id for one in export.images} - {one.id for one in absent}
    records = [record for record in records if record.id in there]
    findings = _unlabelled(export, root) if chosen == "classify" else []
    if absent:
        findings.append(_absent(absent, root, folder))
    repeated = {id_ for id_, number in Counter(record.id for record in records).items() if number > 1}
    if repeated:
        findings.append(_annotated_twice(export.images, repeated, root))
        records = list({record.id: record for record in records}.values())
    named, id_notes = unique_ids(records)
    if chosen == "segment":
        findings += without_outline(named, root)
        named = without_boxed_classes(named)
    assigned = apply_split_files(folder, named)
    declared, unused = _declared(export, chosen, records)
    class_file = find_class_file(folder)
    if class_file is not None and chosen == "detect":
        declared = foreground_of(read_class_file(class_file))
        class_file = None
    return Listing(
        root=root,
        layout=export.layout,
        task=chosen,
        records=tuple(sorted(assigned.records, key=lambda record: record.id)),
        class_file=class_file,
        declared=declared,
        notes=(*export.notes, *notes, *unused, *id_notes, *assigned.notes),
        findings=(*_broken(export, chosen), *findings, *assigned.findings),
    )


def foreground_of(declared: ClassFile) -> ClassFile | None:
    """The declared classes that objects may have: all but background and those that are not counted; None for none."""
    out = {declared.background, *declared.ignored}
    kept = [position for position, id_ in enumerate(declared.ids) if id_ not in out]
    if not kept:
        return None
    return ClassFile(
        source=declared.source,
        names=tuple(declared.names[position] for position in kept),
        ids=tuple(declared.ids[position] for position in kept),
        colors=tuple(declared.colors[position] for position in kept) if declared.colors else (),
    )


def _choose(root: Path, export: Export, task: TaskName | None) -> TaskName:
    objects = [one for image in export.images for one in image.objects]
    offered: list[TaskName] = []
    if any(one.region is not None for one in objects):
        offered.append("segment")
    if objects:
        offered += ["detect", "segment"]
    if any(image.labels for image in export.images):
        offered.append("classify")
    if not offered:
        reasons = "; ".join(f"{file}: {reason}" for file, reason in list(export.broken.items())[:3])
        raise DataError(
            f"{root} was read as {export.layout}, but no image of it has a shape or a label"
            + (f" ({reasons})" if reasons else "")
        )
    return task if task in offered else offered[0]


def _with_objects(export: Export, task: TaskName) -> tuple[list[Record], list[str]]:
    """Records with the objects that a task can use."""
    outlined = any(_has_outline(one) for image in export.images for one in image.objects)
    records = [
        Record(
            id=one.id,
            image=one.image,
            split=one.split,
            annotation=Annotation(tuple(_usable(one.objects, task, outlined)), one.source, one.size),
        )
        for one in export.images
    ]
    notes = []
    boxes = sum(one.region is None for image in export.images for one in image.objects)
    if boxes and task == "segment" and not outlined:
        notes.append(f"boxes that are painted as rectangles: {boxes}")
    if export.left_out:
        listed = ", ".join(f"{number} {kind}" for kind, number in export.left_out.most_common(LISTED))
        notes.append(f"shapes left out, which cover no area or have no label: {listed}")
    return records, notes


def _usable(objects: Iterable[ObjectAnnotation], task: TaskName, outlined: bool) -> Iterable[ObjectAnnotation]:
    """Objects as a task needs them; in a set with outlines boxes become regions only where they mark no object."""
    for one in objects:
        if task == "segment":
            is_area = one.region is None and not (outlined and _is_object(one))
            yield replace(one, region=rectangle(one.box)) if is_area and one.box is not None else one
        elif one.label.lower() not in BACKGROUND_NAMES:
            yield one


def _is_object(one: ObjectAnnotation) -> bool:
    """Whether it marks an object, not background or what is not counted, of which a box is the whole area."""
    return not one.ignored and one.label.lower() not in BACKGROUND_NAMES


def _has_outline(one: ObjectAnnotation) -> bool:
    return one.region is not None and _is_object(one)


def _labelled(export: Export) -> tuple[list[Record], list[str]]:
    """Records of the images that have exactly one label."""
    return [
        Record(one.id, one.image, label=one.labels[0], split=one.split) for one in export.images if len(one.labels) == 1
    ], []


def _unlabelled(export: Export, root: Path) -> list[Finding]:
    """Findings about the images that have no label, or several."""
    without = [shown(one.image, root) for one in export.images if not one.labels]
    several = [shown(one.image, root) for one in export.images if len(one.labels) > 1]
    return [
        finding(code, message, files)
        for code, message, files in (
            ("missing-label", f"images without a label ({len(without)}): label them, or take them out", without),
            (
                "unknown-label",
                f"images of several labels ({len(several)}): an image is of one class here; keep one label",
                several,
            ),
        )
        if files
    ]


def _absent(images: Sequence[MarkedImage], root: Path, folder: Path) -> Finding:
    files = [shown(one.image, root) for one in images]
    message = f"images that are annotated and not there ({len(files)}): {where_to_put(folder)}"
    return finding("missing-image", message, files)


def _annotated_twice(images: Sequence[MarkedImage], repeated: Collection[str], root: Path) -> Finding:
    concerned = [image for image in images if image.id in repeated]
    files = sorted({shown(path, root) for image in concerned for path in (image.source, image.image)})
    message = f"images that are annotated twice, or differ by the suffix alone ({len(repeated)}): keep one of each"
    return finding("duplicate-id", message, files, sorted(repeated))


def _broken(export: Export, task: TaskName) -> list[Finding]:
    """The annotations that cannot be read; their images are left out."""
    if not export.broken:
        return []
    reasons = "; ".join(f"{file}: {reason}" for file, reason in list(export.broken.items())[:3])
    message = f"{counted(len(export.broken), 'annotation')} cannot be read ({reasons}); export or correct them"
    code = "unreadable-mask" if task == "segment" else "unreadable-annotation"
    return [finding(code, message, export.broken)]


def _declared(export: Export, task: TaskName, records: Sequence[Record]) -> tuple[ClassFile | None, list[str]]:
    """The classes that the tool declares and somebody used, and a word about the others."""
    used = {label for record in records if record.annotation for label in record.annotation.labels}
    used |= {record.label for record in records if record.label is not None}
    kept = [position for position, name in enumerate(export.names) if name in used]
    if not kept:
        return None, []
    names = [export.names[position] for position in kept]
    colors = tuple(export.colors[position] for position in kept) if export.colors else ()
    declared = replace(ClassFile.from_names(names, export.source), colors=colors)
    unused = [name for name in export.names if name not in used and name.lower() not in BACKGROUND_NAMES]
    if not unused or task == "classify":
        return declared, []
    more = f" and {len(unused) - LISTED} more" if len(unused) > LISTED else ""
    listed = ", ".join(unused[:LISTED])
    return declared, [f"{Path(export.source).name} declares {listed}{more}, which no image shows; they are left out"]
