"""Findings about the files of records: which file of a record is named, and sentences that several checks share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segkit.data.findings import Finding, shown
from segkit.data.rules import finding
from segkit.ops.words import counted
from segkit.structures import Record

Size = tuple[int, int]
"""Height and width in pixels."""


def about_images(code: str, message: str, records: Sequence[Record], root: Path) -> Finding:
    """A finding about the images of these records."""
    return finding(code, message, [shown(record.image, root) for record in records], [record.id for record in records])


def about_targets(code: str, message: str, records: Sequence[Record], root: Path) -> Finding:
    """A finding about the masks, or marked objects, of these records, of which each has some."""
    files = [shown(target_file(record), root) for record in records]
    return finding(code, message, files, [record.id for record in records])


def target_file(record: Record) -> Path:
    """The file to open where a target is wrong: the mask, of one file per class the first.

    Of marked objects it is the annotation file where it is called like the image; one file for all images tells
    nothing, and the image is named. So it is for labels.
    """
    if record.mask is not None:
        return record.mask_files[0]
    source = record.annotation.source if record.annotation is not None else None
    return source if source is not None and source.stem == record.image.stem else record.image


def differing_sizes(differing: Sequence[tuple[Record, Size, Size]], root: Path) -> Finding:
    """The finding about records whose image has another size (H, W) than their mask, or than the annotation states."""
    record, image, target = differing[0]
    what, cure = ("mask", "export the masks at the size of the images")
    if record.mask is None:
        what, cure = ("annotation", "export the annotations anew for these images")
    message = (
        f"{counted(len(differing), what)} of another size than the image, for example "
        f"{shown(record.image, root)}: image {_size(image)}, {what} {_size(target)}; {cure}"
    )
    return about_targets("size-mismatch", message, [record for record, _, _ in differing], root)


def _size(size: Size) -> str:
    return f"{size[1]} x {size[0]}"
