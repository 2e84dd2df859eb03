"""Several targets of one data set: the listings of its heads become one, whose images have any of the targets."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from segkit.data.findings import Finding, shown
from segkit.data.formats._base import Listing
from segkit.ops.words import counted
from segkit.structures import MASKED, Record

MISSING = ("missing-mask", "missing-label")
"""Codes of findings about images without a target, which are no problem where they have that of another head."""


def join(listings: Sequence[Listing]) -> Listing:
    """The listing of all images that any of the listings has, each with all its targets; the first is the main one.

    Where listings state different parts of an image, those of the earlier one count.
    """
    main, *others = listings
    if not others:
        return main
    masked = any(listing.task in MASKED for listing in listings)
    records: dict[str, Record] = {}
    for listing in listings:
        for listed in listing.records:
            record = _with_boxes_apart(listed) if masked and listing.task == "detect" else listed
            records[record.id] = _merged(records[record.id], record) if record.id in records else record
    known = {shown(record.image, main.root) for record in records.values()}
    findings = dict.fromkeys(found for listing in listings for found in listing.findings)
    return replace(
        main,
        layout=" + ".join(dict.fromkeys(listing.layout for listing in listings)),
        records=tuple(records[id_] for id_ in sorted(records)),
        notes=(*dict.fromkeys(note for listing in listings for note in listing.notes), _counts(listings)),
        findings=tuple(left for found in findings if (left := _without(found, known)) is not None),
    )


def _with_boxes_apart(record: Record) -> Record:
    """A record of boxes beside which an annotation may tell a mask."""
    return replace(record, annotation=None, boxes=record.annotation)


def _merged(one: Record, other: Record) -> Record:
    """One image with the targets of both records."""
    return replace(
        one,
        mask=other.mask if one.mask is None else one.mask,
        label=other.label if one.label is None else one.label,
        group=other.group if one.group is None else one.group,
        split=other.split if one.split is None else one.split,
        annotation=one.annotation or other.annotation,
        instances=one.instances or other.instances,
        boxes=one.boxes or other.boxes,
    )


def _without(found: Finding, known: Set[str]) -> Finding | None:
    """A finding about images that lack a target, but for those that have another one; other findings as they are."""
    if found.code not in MISSING or known.isdisjoint(found.files):
        return found
    files = tuple(file for file in found.files if file not in known)
    message = f"{counted(len(files), 'image')} without any target: add one, or take the images out"
    return replace(found, message=message, files=files) if files else None


def _counts(listings: Sequence[Listing]) -> str:
    """How many images have which target."""
    return "targets: " + ", ".join(f"{each.task} {counted(len(each.records), 'image')}" for each in listings)
