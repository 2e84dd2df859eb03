"""Images that look alike: copies saved anew, resized, brightened, and neighbouring frames of one film.

What an image looks like is kept as a thumbnail of 16 x 16 gray values. Two images look alike where their thumbnails
correlate once the mean thumbnail of the data set is taken away. Without that step (and with the usual difference
hashes) any two photographs of a retina look alike, because all of them are a bright disc on black.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 16
"""Height and width of the thumbnails."""

SMALLEST_SIDE = 32
"""Images below this height or width get no thumbnail: every second handwritten 1 would look like another."""

ALIKE = 0.95
"""Least correlation of images that look alike: above that of any two unrelated ones of five real sets."""

_ROWS = 512
_CHUNK = 1024
_FEW = 3


def thumbnail(image: NDArray[Any]) -> str:
    """The look of an image (H, W, C), the mean of its first three channels stretched to 0..255, as base64 text.

    Empty for constant images, for those with a side below `SMALLEST_SIDE`, and where no value is finite.
    """
    if min(image.shape[:2]) < SMALLEST_SIDE:
        return ""
    # Row by row first: a float image without its NaN, or three of its channels, would be a copy of it.
    narrow = np.concatenate([_narrow(image[top : top + _ROWS, :, :3]) for top in range(0, len(image), _ROWS)])
    gray = cv2.resize(narrow, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    low, high = gray.min(), gray.max()
    if not high > low:
        return ""
    return base64.b64encode(np.rint((gray - low) * (255 / (high - low))).astype(np.uint8).tobytes()).decode()


def _narrow(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows (H, W, 1 to 3) reduced to `SIDE` columns of one channel, the mean of the finite values."""
    if not np.issubdtype(rows.dtype, np.integer):
        rows = np.nan_to_num(rows, posinf=0, neginf=0)
    small = cv2.resize(np.ascontiguousarray(rows), (SIDE, len(rows)), interpolation=cv2.INTER_AREA)
    return small.reshape(len(rows), SIDE, -1).mean(axis=2, dtype=np.float32)


def look_alikes(thumbnails: Sequence[str], parts: Sequence[str | None]) -> Iterator[tuple[int, int]]:
    """Pairs (i, j), i < j, of different parts whose thumbnails correlate by `ALIKE` or more.

    Args:
        thumbnails: one per image; empty ones are like no other.
        parts: one per image; pairs inside one part are not looked for.
    """
    known = [index for index, text in enumerate(thumbnails) if text]
    if len(known) < 2:
        return
    looks = _standardized(np.stack([np.frombuffer(base64.b64decode(thumbnails[i]), np.uint8) for i in known]))
    if len(known) >= _FEW:  # the difference to the mean of two is the same for both
        looks = _standardized(looks - looks.mean(axis=0))
    of_part = np.array([sorted(set(map(str, parts))).index(str(parts[index])) for index in known])
    for start in range(0, len(known), _CHUNK):
        rows = slice(start, start + _CHUNK)
        alike = looks[rows] @ looks[start:].T >= ALIKE
        alike &= of_part[rows, None] != of_part[None, start:]
        for row, column in np.argwhere(np.triu(alike, 1)).tolist():
            yield known[start + row], known[start + column]


def _standardized(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of mean 0 and length 1, whose products are correlations; rows without variation stay 0."""
    centred = rows.astype(np.float32) - rows.mean(axis=1, keepdims=True, dtype=np.float32)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    # What is left of a thumbnail equal to the mean is rounding, not a look.
    return np.where(lengths > 1e-3, centred / np.maximum(lengths, 1e-3), 0).astype(np.float32)
