"""Objects as COCO's JSON holds them: boxes, polygons and run lengths, none of which is believed unseen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from segkit.data.class_file import IGNORED_NAMES
from segkit.data.drawing import fill_polygons, region_area
from segkit.data.formats._json import as_numbers, as_whole, is_number, is_whole, kind_of
from segkit.data.formats._objects import region_box
from segkit.data.readers._base import MAX_PIXELS
from segkit.errors import DataError
from segkit.structures import Box, ObjectAnnotation, Polygons, RunLengths

_ZERO = ord("0")
_BITS, _CONTINUED, _SIGN = 0x1F, 0x20, 0x10
_MOST_DIGITS = 7
"""Characters of one compressed run: more hold no length of an image."""


def stated_size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """(H, W) as an entry of `images` states it, None where it does not; raises `DataError` for an absurd one."""
    height, width = image.get("height"), image.get("width")
    if height is None and width is None:
        return None
    if not (is_whole(height) and is_whole(width)) or height < 0 or width < 0 or height * width > MAX_PIXELS:
        raise DataError(f"its size is given as {width!r:.20} x {height!r:.20} pixels")
    return (int(height), int(width)) if height and width else None


def parse_object(entry: Mapping[str, Any], categories: Mapping[int, str]) -> ObjectAnnotation:
    """One entry of `annotations`.

    Rings of fewer than three corners enclose nothing and are left out.

    Args:
        entry: `category_id`, and `bbox` or `segmentation`, and maybe `area`; crowds (`iscrowd`), those marked `ignore`
            and those of categories called void or the like are ignored.
        categories: category id -> name.

    Raises:
        DataError: it says why, but not in which file.
    """
    label, ignored = parse_label(entry, categories)
    region = _region(entry.get("segmentation"))
    box = parse_box(entry.get("bbox"))
    if box is None and region is None:
        raise DataError(f"a {label} without bbox and segmentation")
    if box is None and region is not None:
        box = region_box(region) or (0.0, 0.0, 0.0, 0.0)
    return ObjectAnnotation(label, box, region, ignored, _area(entry.get("area")))


def parse_label(entry: Mapping[str, Any], categories: Mapping[int, str]) -> tuple[str, bool]:
    """The name of an entry's category, and whether it is ignored, as `parse_object` describes; raises `DataError`."""
    category = as_whole(entry.get("category_id"))
    if category is None or category not in categories:
        stated = entry.get("category_id")
        raise DataError(f"an object of the category {stated!r:.40}, which is not among the categories")
    label = categories[category]
    return label, bool(entry.get("iscrowd") or entry.get("ignore")) or label.lower() in IGNORED_NAMES


def parse_box(value: object) -> Box | None:
    """From left, top, width and height; none where it is missing or `[]`. Raises `DataError` for anything else."""
    if value is None or value == []:
        return None
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        raise DataError(f"a bbox {value!r:.60}, which is not [left, top, width, height]")
    left, top, width, height = map(float, value)
    if width < 0 or height < 0:
        raise DataError(f"a bbox of {width:g} x {height:g} pixels")
    return left, top, left + width, top + height


def _area(value: object) -> float | None:
    """Square pixels; None for anything else, for which scores take the area of the pixels or the box."""
    return float(value) if is_number(value) and value > 0 else None


def _region(value: object) -> Polygons | RunLengths | None:
    """Polygons `[[x, y, ...], ...]`, one of them `[x, y, ...]`, or run lengths `{"size", "counts"}`."""
    if value is None or value == []:
        return None
    if isinstance(value, dict):
        return _run_lengths(value)
    if not isinstance(value, list):
        raise DataError(f"a segmentation that is {kind_of(value)}")
    rings = [value] if is_number(value[0]) else value
    parsed = tuple(_ring(ring) for ring in rings if not isinstance(ring, list) or len(ring) >= 6 or len(ring) % 2)
    return Polygons(parsed) if parsed else None


def _ring(value: object) -> np.ndarray[Any, np.dtype[np.float32]]:
    numbers = as_numbers(value) if isinstance(value, list) and not len(value) % 2 else None
    if numbers is None:
        raise DataError("a polygon that is not [x, y, x, y, ...]")
    return numbers.astype(np.float32).reshape(-1, 2)


def _run_lengths(value: Mapping[str, Any]) -> RunLengths:
    size, counts = value.get("size"), value.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(is_whole(side) and side > 0 for side in size):
        raise DataError(f"run lengths of the size {size!r:.40}, which is not [height, width]")
    height, width = int(size[0]), int(size[1])
    if height * width > MAX_PIXELS:
        raise DataError(f"run lengths of {width} x {height} pixels, above the limit of {MAX_PIXELS:,} pixels")
    if isinstance(counts, str):
        runs, encoded = decompressed(counts), counts.encode("utf-8", "replace")
    elif isinstance(counts, list) and all(is_whole(run) and 0 <= run <= height * width for run in counts):
        runs = [int(run) for run in counts]
        encoded = _compressed(runs, height, width)
    else:
        raise DataError("run lengths whose counts are neither a text nor whole numbers")
    if min(runs, default=0) < 0 or sum(runs) != height * width:
        raise DataError(f"run lengths that do not add up to the {height * width:,} pixels of {width} x {height}")
    return RunLengths((height, width), encoded)


def _compressed(runs: Sequence[int], height: int, width: int) -> bytes:
    if sum(runs) != height * width:
        return b""  # refused by its sum, in the same words as the compressed ones
    counts: bytes = coco_mask.frPyObjects({"size": [height, width], "counts": list(runs)}, height, width)["counts"]
    return counts


def decompressed(counts: str) -> list[int]:
    """The runs in COCO's compressed text.

    pycocotools decodes them without looking at what it is given, and reads beyond the end of a wrong text.
    Five bits a character, the lowest first; from the fourth run on, the difference to the run before the last.

    Raises:
        DataError: a character that cannot occur, or a text that ends within a run.
    """
    bits = np.frombuffer(counts.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64) - _ZERO
    starts = np.concatenate([[0], np.flatnonzero(bits & _CONTINUED == 0) + 1])  # the last one begins nothing
    digits = np.diff(starts, append=len(bits))
    if (bits < 0).any() or (bits >= 0x40).any() or (digits > _MOST_DIGITS).any():
        raise DataError("run lengths that are no text of COCO's compressed form")
    if digits[-1]:
        raise DataError("run lengths that are cut short")
    places = np.arange(len(bits)) - np.repeat(starts, digits)
    runs = np.add.reduceat((bits & _BITS) << 5 * places, starts[:-1])
    runs -= (bits[starts[1:] - 1] & _SIGN != 0) * (1 << 5 * digits[:-1])
    for first in (1, 2):
        runs[first::2] = runs[first::2].cumsum()
    found: list[int] = runs.tolist()
    return found


def plain_object(one: ObjectAnnotation, size: tuple[int, int]) -> dict[str, Any]:
    """`bbox`, `area` and `segmentation` of an object with its box, which `parse_object` reads back as they were.

    Args:
        one: its region is None, polygons or run lengths.
        size: (H, W) of its image.
    """
    left, top, right, bottom = one.box or (0.0, 0.0, 0.0, 0.0)
    plain: dict[str, Any] = {"bbox": [left, top, right - left, bottom - top]}
    if isinstance(one.region, Polygons):
        # The shortest text that is the same float32, not the digits float64 adds.
        rings = [[float(str(value)) for value in ring.ravel()] for ring in one.region.rings]
        return plain | {"area": one.area or region_area(fill_polygons(one.region, size)), "segmentation": rings}
    if isinstance(one.region, RunLengths):
        text = {"size": list(one.region.size), "counts": one.region.counts.decode("ascii")}
        return plain | {"area": one.area or region_area(one.region), "segmentation": text}
    return plain | {"area": one.area or (right - left) * (bottom - top), "segmentation": []}
