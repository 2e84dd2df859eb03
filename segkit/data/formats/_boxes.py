"""Objects that have a box alone, in sets that are read to segment because others have outlines."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path

from segkit.data.findings import Finding, shown
from segkit.data.rules import finding
from segkit.ops.words import counted
from segkit.structures import Annotation, ObjectAnnotation, Record

LISTED = 10


def without_outline(records: Sequence[Record], root: Path) -> list[Finding]:
    """The finding about objects that count and have a box alone, whose boxes `data.drawing` leaves uncounted, or none.

    Where in its box such an object is nobody said: to paint the whole box would teach a wrong outline, and to paint
    nothing would teach that a marked object is background.
    """
    boxed = [record for record in records if _boxed(record)]
    if not boxed:
        return []
    labels = [one.label for record in boxed for one in _boxed(record)]
    names = sorted(set(labels))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    message = (
        f"{counted(len(labels), 'object')} without an outline in {counted(len(boxed), 'image')} of a set of outlines "
        f"({', '.join(names[:LISTED])}{more}): no pixel in their boxes counts, but for those of other outlines; "
        "outline them, or read the boxes with --task detect"
    )
    return [
        finding(
            "object-without-outline",
            message,
            [shown(record.image, root) for record in boxed],
            [record.id for record in boxed],
        )
    ]


def without_boxed_classes(records: Sequence[Record]) -> list[Record]:
    """The records, in which objects of classes that no outline has are ignored: a network could not learn these."""
    marked = [one for record in records if record.annotation for one in record.annotation.objects]
    outlined = {one.label for one in marked if one.region is not None}
    return [
        record
        if record.annotation is None or outlined.issuperset(record.annotation.labels)
        else replace(record, annotation=_ignoring_all_but(outlined, record.annotation))
        for record in records
    ]


def _ignoring_all_but(labels: Set[str], annotation: Annotation) -> Annotation:
    objects = (replace(one, ignored=one.ignored or one.label not in labels) for one in annotation.objects)
    return replace(annotation, objects=tuple(objects))


def _boxed(record: Record) -> list[ObjectAnnotation]:
    objects = record.annotation.objects if record.annotation else ()
    return [one for one in objects if one.region is None and one.box is not None and not one.ignored]
