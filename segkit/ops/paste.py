"""Masks of fixed size that lie in boxes, brought to the pixels of an image. No torch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segkit.ops.boxes import BoxArray, clip_boxes

Window = tuple[slice, slice]


def paste_mask(mask: NDArray[np.float32], box: BoxArray, size: tuple[int, int]) -> tuple[Window, NDArray[np.bool_]]:
    """Rows and columns of an image that a mask can cover, and which of these pixels (h, w) it covers.

    A mask's pixels are of equal size and fill its box; between their middles it is bilinear, beyond them it falls to 0.
    A pixel of the image is covered where the mask is at least 0.5 in its middle (He et al., Mask R-CNN, 2017).

    Args:
        mask: (h, w) probabilities.
        box: (4,) in pixels of the image, may reach beyond it.
        size: (H, W) of the image.
    """
    left, top, right, bottom = (float(side) for side in box)
    seen = clip_boxes(box[None], size)[0]
    columns = slice(math.floor(seen[0]), math.ceil(seen[2]))
    rows = slice(math.floor(seen[1]), math.ceil(seen[3]))
    down = _weights(rows, top, bottom, mask.shape[0])
    across = _weights(columns, left, right, mask.shape[1])
    return (rows, columns), np.asarray(down @ mask @ across.T >= 0.5)


def _weights(pixels: slice, start: float, end: float, count: int) -> NDArray[np.float32]:
    """(pixels, count): how much each of `count` equal parts of start..end has in the middle of a pixel."""
    middles = np.arange(pixels.start, pixels.stop)[:, None] + 0.5
    in_parts = (middles - start) / max(end - start, 1e-6) * count - 0.5
    return (1 - np.abs(in_parts - np.arange(count))).clip(min=0).astype(np.float32)
