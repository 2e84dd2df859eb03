"""What is wrong with objects that people marked: boxes and outlines against the size of their image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

from segkit.data.about import about_targets, differing_sizes
from segkit.data.facts import ImageFacts
from segkit.data.findings import Finding, shown
from segkit.ops.words import counted
from segkit.structures import Annotation, Box, ObjectAnnotation, Polygons, Record, RunLengths

TOLERANCE = 1.0
"""Pixels by which a box or an outline may reach beyond its image: rounding, or counting pixels from 1."""

EXTREME_RATIO = 100
"""Ratio of the sides of a box above which it is taken for a slip of the hand."""

Marked = tuple[Record, Annotation, tuple[int, int]]
"""A record, its objects in pixels, and (H, W) of its image."""

Test = Callable[[ObjectAnnotation, tuple[int, int]], Box | None]


def check_objects(images: Sequence[tuple[Record, ImageFacts]], root: Path, are_drawn: bool = True) -> Iterator[Finding]:
    """Problems of boxes, outlines and the sizes that annotation files state; no file is read.

    Args:
        images: records, those without marked objects are passed over, with what the scan knows of their images.
        root: the data set's folder.
        are_drawn: masks are drawn from the objects, so that the scan knows of run lengths of another size.
    """
    found = [(record, _target(record), image.size) for record, image in images]
    annotated = [(replace(r, mask=None, annotation=target), target, size) for r, target, size in found if target]
    wrong = [(r, size, stated) for r, a, size in annotated if (stated := _other_size(a, size, are_drawn)) is not None]
    if wrong:
        yield differing_sizes(wrong, root)
    mistaken = {record.id for record, _, _ in wrong}
    marked = [(r, annotation.in_pixels(size), size) for r, annotation, size in annotated if r.id not in mistaken]
    for code, what, test in (
        ("annotation-outside", "outside the image; correct them in the tool they were drawn with", _reaches_outside),
        ("zero-area-box", "without area; remove them, or draw them anew", _has_no_area),
        ("absurd-box", f"more than {EXTREME_RATIO} times as long as wide; look whether they are meant", _is_extreme),
    ):
        yield from _objects(code, what, test, marked, root)


def _target(record: Record) -> Annotation | None:
    """The objects that are learnt, as objects or as a mask drawn from them."""
    return record.annotation if record.annotation is not None and record.mask is None else record.boxes


def _other_size(annotation: Annotation, size: tuple[int, int], are_drawn: bool) -> tuple[int, int] | None:
    """(H, W) of another image than that of `size`, which the annotation or run lengths in it state."""
    regions = () if are_drawn else (one.region for one in annotation.objects)
    stated = (annotation.size, *(region.size for region in regions if isinstance(region, RunLengths)))
    return next((one for one in stated if one is not None and one != size), None)


def _objects(code: str, what: str, test: Test, marked: Sequence[Marked], root: Path) -> Iterator[Finding]:
    """A finding about the images that hold an object of which the test gives a box, with the first of them."""
    hits = [
        (record, one, box)
        for record, annotation, size in marked
        for one in annotation.objects
        if (box := test(one, size)) is not None
    ]
    if hits:
        record, one, box = hits[0]
        corners = ", ".join(f"{side:g}" for side in box)
        example = f"{one.label} ({corners}) in {shown(record.image, root)}"
        concerned = list({record.id: record for record, _, _ in hits}.values())
        yield about_targets(code, f"{counted(len(hits), 'object')} {what}, for example {example}", concerned, root)


def _reaches_outside(one: ObjectAnnotation, size: tuple[int, int]) -> Box | None:
    """The box, or that of the outline, which reaches beyond the image."""
    outline = one.region.box if isinstance(one.region, Polygons) and one.region.rings else None
    for box in (one.box, outline):
        if box is not None:
            beyond = max(-box[0], -box[1], box[2] - size[1], box[3] - size[0])
            if not beyond <= TOLERANCE or not all(map(isfinite, box)):
                return box
    return None


def _has_no_area(one: ObjectAnnotation, _: tuple[int, int]) -> Box | None:
    return one.box if one.box is not None and (one.box[2] <= one.box[0] or one.box[3] <= one.box[1]) else None


def _is_extreme(one: ObjectAnnotation, size: tuple[int, int]) -> Box | None:
    if one.box is None or _has_no_area(one, size) is not None:
        return None
    width, height = one.box[2] - one.box[0], one.box[3] - one.box[1]
    return one.box if max(width, height) > EXTREME_RATIO * min(width, height) else None
