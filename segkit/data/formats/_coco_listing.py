"""From COCO's files to records: images that are there with their objects, and findings about everything else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from segkit.data.findings import Finding, shown
from segkit.data.formats._base import Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._boxes import without_outline
from segkit.data.formats._coco_files import CocoFile, declared_by, image_of
from segkit.data.formats._coco_images import ImageFolders
from segkit.data.formats._folders import IMAGE_WORDS, find_class_file
from segkit.data.formats._ids import duplicate_ids, unique_ids
from segkit.data.rules import finding
from segkit.errors import DataError
from segkit.ops.words import counted
from segkit.structures import Annotation, ObjectAnnotation, Record, TaskName

ReadObjects = Callable[[Mapping[str, Any]], Annotation]
"""The objects of an entry of `images`; raises `DataError` that says why they cannot be read."""


@dataclass
class ListedFile:
    """What one COCO file says about images.

    Attributes:
        file: the COCO file.
        records: id -> image that is there, with its objects.
        missing: names of images that are not there.
        broken: name of an image -> why its objects cannot be read.
        repeated: images that differ by the suffix alone.
        united: images that are listed under several ids.
        respelt: name in the file -> name of the image, where upper and lower case differ.
        strangers: id of an image that is not listed, as the file writes it -> number of annotations about it.
    """

    file: CocoFile
    records: dict[str, Record] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    repeated: list[Path] = field(default_factory=list)
    united: dict[str, None] = field(default_factory=dict)
    respelt: Mapping[str, str] = field(default_factory=dict)
    strangers: Mapping[str, int] = field(default_factory=dict)


def list_images(file: CocoFile, root: Path, read_objects: ReadObjects) -> ListedFile:
    """The images of one file; raises `DataError` where it cannot be said which image is meant."""
    folders, listed = ImageFolders(root, file), ListedFile(file)
    for image in file.images:
        found = folders.find(image["file_name"])
        if found is None:
            listed.missing.append(image["file_name"])
            continue
        path, name = found
        id_ = _id(name)
        other = listed.records.get(id_)
        if other is not None and other.image != path:
            listed.repeated += [other.image, path]
            continue
        try:
            annotation = read_objects(image)
            if other is not None and other.annotation is not None:
                annotation = _united(other.annotation, annotation)
                listed.united[shown(path, root)] = None
        except DataError as error:
            listed.broken[shown(path, root)] = str(error)
        else:
            listed.records[id_] = Record(id_, path, split=file.split, annotation=annotation)
    for id_ in [id_ for id_, record in listed.records.items() if shown(record.image, root) in listed.broken]:
        del listed.records[id_]  # listed twice, and half of its objects cannot be read
    ids = {image["id"] for image in file.images}
    strangers = (entry for entry in file.annotations if image_of(entry) not in ids)
    listed.strangers = Counter(json.dumps(entry.get("image_id"))[:40] for entry in strangers)
    listed.respelt = folders.respelt
    return listed


def _united(one: Annotation, other: Annotation) -> Annotation:
    """The objects of both; raises `DataError` where they are stated for images of different sizes."""
    if one.size and other.size and one.size != other.size:
        sizes = " and ".join(f"{width} x {height}" for height, width in (one.size, other.size))
        raise DataError(f"it is listed twice, with {sizes} pixels")
    return replace(one, objects=(*one.objects, *other.objects), size=one.size or other.size)


def _id(name: str) -> str:
    """The path without suffix; steps upwards, and a folder called images in front, do not count."""
    parts = [part for part in PurePosixPath(name).with_suffix("").parts if part not in ("..", "/")]
    return "/".join(parts[1:] if len(parts) > 1 and parts[0].lower() in IMAGE_WORDS else parts)


def listing_of(root: Path, layout: str, listed: Sequence[ListedFile], task: TaskName | None) -> Listing:
    """The listing of these files for a task; where none is named, outlines come before boxes.

    Raises `DataError` where no image is there, nothing is marked, or two files describe one image.
    """
    _require_images(listed)
    records, id_notes = unique_ids([record for one in listed for record in one.records.values()])
    _require_described_once(listed)
    objects = [one for record in records if record.annotation for one in record.annotation.objects]
    if not objects and not any(one.broken for one in listed):
        strangers = next((f"; {said}" for one in listed if (said := _strangers(one))), "")
        raise DataError(f"{listed[0].file.path}: no object is marked in any of its images that are there{strangers}")
    has_outlines = any(one.region is not None for one in objects)
    chosen: TaskName = "segment" if has_outlines and task != "detect" else "detect"
    assigned = apply_split_files(root if root.is_dir() else root.parent, records)
    boxed = without_outline(assigned.records, root) if chosen == "segment" else []
    used = {one.label for one in objects if not one.ignored}
    declared, renumbered = declared_by([one.file for one in listed], used, chosen == "segment")
    return Listing(
        root=root,
        layout=f"{layout}, {' + '.join(shown(one.file.path, root) for one in listed)}",
        task=chosen,
        records=tuple(sorted(assigned.records, key=lambda record: record.id)),
        class_file=find_class_file(root if root.is_dir() else root.parent),
        declared=declared,
        notes=(*id_notes, *_notes(listed, objects), *renumbered, *assigned.notes),
        findings=(*_findings(listed, assigned.records, root), *boxed, *assigned.findings),
    )


def _require_images(listed: Sequence[ListedFile]) -> None:
    if any(one.records or one.broken for one in listed):
        return
    first = listed[0]
    if not first.missing:
        raise DataError(f"{first.file.path} lists no image")
    raise DataError(
        f"{first.file.path} lists {counted(len(first.missing), 'image')}, and none is there, for example "
        f"{first.missing[0]!r}; put them beside it, or into images/ or a folder called like their split"
    )


def _require_described_once(listed: Sequence[ListedFile]) -> None:
    described: dict[Path, CocoFile] = {}
    for one in listed:
        for record in one.records.values():
            other = described.setdefault(record.image, one.file)
            if other is not one.file:
                raise DataError(
                    f"{other.path.name} and {one.file.path} both describe {record.image.name}; "
                    "name the one to read in place of the folder, or take the other away"
                )


def _notes(listed: Sequence[ListedFile], objects: Sequence[ObjectAnnotation]) -> Iterator[str]:
    for one in listed:
        yield from one.file.notes
        if one.united:
            images = f"{counted(len(one.united), 'image')} under several ids, for example {next(iter(one.united))}"
            yield f"{one.file.path.name} lists {images}: the objects of all its ids are read as its objects"
    respelt = {name: there for one in listed for name, there in one.respelt.items()}
    if respelt:
        name, there = next(iter(respelt.items()))
        spelt = f"{counted(len(respelt), 'image')} in other upper and lower case than the files have"
        yield f"{listed[0].file.path.name} spells {spelt}, for example {name} for {there}"
    ignored = sum(one.ignored for one in objects)
    if ignored:
        yield f"not counted: {counted(ignored, 'object')} marked as crowd or to be ignored"


def _findings(listed: Sequence[ListedFile], records: Sequence[Record], root: Path) -> Iterator[Finding]:
    for one in listed:
        name = one.file.path.name
        if one.missing:
            message = f"{name} names images that are not there ({len(one.missing)}): add them, or take them out of it"
            yield finding("missing-image", message, one.missing)
        if one.broken:
            reasons = "; ".join(f"{image}: {reason}" for image, reason in list(one.broken.items())[:3])
            message = (
                f"{name}: the objects of {counted(len(one.broken), 'image')} cannot be read ({reasons}); correct them"
            )
            yield finding("unreadable-annotation", message, one.broken)
        if one.strangers:
            message = f"{name}: {_strangers(one)}; list these images, or take the annotations out"
            yield finding("orphan-mask", message, [shown(one.file.path, root)])
        repeated = _repeated_ids(one.file)
        if repeated:
            message = (
                f"{name}: {counted(len(repeated), 'id')} of more than one annotation ({', '.join(repeated[:10])}); all "
                "are read, but other tools may take them for one: number the annotations anew"
            )
            yield finding("repeated-annotation-id", message, [shown(one.file.path, root)])
    yield from duplicate_ids([file for one in listed for file in one.repeated], records, root)


def _repeated_ids(file: CocoFile) -> list[str]:
    """Ids that several annotations have, as the file writes them; an annotation may have none."""
    ids = Counter(str(entry["id"])[:40] for entry in file.annotations if isinstance(entry.get("id"), int | str))
    return [id_ for id_, number in ids.items() if number > 1]


def _strangers(listed: ListedFile) -> str:
    """What is wrong with annotations whose image_id no image has, empty without any."""
    if not listed.strangers:
        return ""
    ids = list(listed.strangers)
    more = f" and {len(ids) - 10} more" if len(ids) > 10 else ""
    known = ", ".join(json.dumps(image["id"])[:40] for image in listed.file.images[:3])
    return (
        f"{counted(sum(listed.strangers.values()), 'annotation')} of an image_id that no listed image has "
        f"({', '.join(ids[:10])}{more}; images have ids such as {known})"
    )
