"""The regions of a map of ids, each cut out of it, so that many small ones in a large image take little time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Region(NamedTuple):
    """The pixels that hold one id.

    Attributes:
        id: greater than 0.
        place: row and column of the upper left corner of the smallest box around them.
        pixels: (h, w) the box, true where they are.
    """

    id: int
    place: tuple[int, int]
    pixels: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.pixels.sum())


def regions(ids: NDArray[Any]) -> Iterator[Region]:
    """The regions of the ids (H, W) above 0 that occur, ascending."""
    from scipy import ndimage

    for number, found in enumerate(ndimage.find_objects(ids.clip(0).astype(np.int32)), start=1):
        if found is not None:
            yield Region(number, (found[0].start, found[1].start), ids[found] == number)


def annotation(region: Region, size: tuple[int, ...]) -> dict[str, Any]:
    """What COCO says of a region in an image of `size` (H, W): bbox, area, iscrowd, segmentation as run lengths."""
    (top, left), (height, width) = region.place, region.pixels.shape
    return {
        "bbox": [left, top, width, height],
        "area": region.area,
        "iscrowd": 0,
        "segmentation": _run_lengths(region, size),
    }


def _run_lengths(region: Region, size: tuple[int, ...]) -> dict[str, Any]:
    """In pycocotools' compressed form: pixels are counted column by column, runs of 0 and 1 in turn."""
    from pycocotools import mask

    columns, rows = np.nonzero(region.pixels.T)
    counted = (columns + region.place[1]) * size[0] + rows + region.place[0]
    breaks = np.flatnonzero(np.diff(counted) > 1)
    starts = counted[np.concatenate([[0], breaks + 1])]
    ends = counted[np.concatenate([breaks, [-1]])] + 1
    turns = np.stack([starts, ends], axis=1).ravel()
    last = size[0] * size[1]
    counts = np.diff(np.concatenate([[0], turns, [last] if turns[-1] < last else []]).astype(np.int64))
    encoded = mask.frPyObjects({"size": list(size), "counts": counts.tolist()}, *size)
    return {"size": list(size), "counts": encoded["counts"].decode("ascii")}
