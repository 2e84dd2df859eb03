"""Image sizes: padding to a multiple, mirroring beyond the border, cropping back."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Padding = tuple[int, int, int, int]
"""Pixels added at the top, bottom, left and right."""


class ImageParts(Protocol):
    """An image (H, W, C) of which parts are taken: an array, or what reads them from a file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, C)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of its values."""
        ...

    def __getitem__(self, part: tuple[slice, slice], /) -> NDArray[Any]:
        """The values (h, w, C) of some rows and columns, which lie inside the image."""
        ...


def padding_to_multiple(height: int, width: int, multiple: int, at_least: int = 1, remainder: int = 0) -> Padding:
    """Pixels that bring both sides up to a multiple plus `remainder`, and to `at_least`.

    They are shared evenly by opposite sides, an odd one at the end.
    """
    rows, columns = (
        -(-(max(side, at_least) - remainder) // multiple) * multiple + remainder - side for side in (height, width)
    )
    return rows // 2, rows - rows // 2, columns // 2, columns - columns // 2


def pad_mirrored(maps: NDArray[Any], padding: Padding) -> NDArray[Any]:
    """Pad the last two axes of maps (..., H, W) by mirroring at the border pixels, which are not repeated; dtype kept.

    A border wider than the image is mirrored again and again, so any size from 1 x 1 works. Without padding the array
    itself is returned.
    """
    if not any(padding):
        return maps
    top, bottom, left, right = padding
    rows = _mirrored_positions(maps.shape[-2], slice(-top, maps.shape[-2] + bottom))
    columns = _mirrored_positions(maps.shape[-1], slice(-left, maps.shape[-1] + right))
    return maps.take(rows, axis=-2).take(columns, axis=-1)


def crop(maps: NDArray[Any], padding: Padding) -> NDArray[Any]:
    """Take what was padded off the last two axes of maps (..., H, W); a view."""
    top, bottom, left, right = padding
    height, width = maps.shape[-2:]
    return maps[..., top : height - bottom, left : width - right]


def take_mirrored(image: ImageParts, rows: slice, columns: slice) -> NDArray[Any]:
    """Rows and columns of an image (H, W, C), those beyond its border mirrored as `pad_mirrored` does.

    No more of the image is asked for than these come from. Starts and ends count from the image's corner; below zero
    they lie before it.
    """
    down, across = _mirrored_positions(image.shape[0], rows), _mirrored_positions(image.shape[1], columns)
    top, left = int(down.min()), int(across.min())
    part = image[top : int(down.max()) + 1, left : int(across.max()) + 1]
    if part.shape[:2] == (len(down), len(across)):
        return part
    return part.take(down - top, axis=0).take(across - left, axis=1)


def _mirrored_positions(length: int, part: slice) -> NDArray[np.intp]:
    """Where in 0..length-1 the positions of a part are found: ... 2 1 | 0 1 2 ... at the first border."""
    period = max(2 * (length - 1), 1)
    positions = np.abs(np.arange(part.start, part.stop)) % period
    return np.minimum(positions, period - positions) if length > 1 else positions
