"""Large arrays piece by piece: what is computed from some values at a time may take many bytes for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.typing import NDArray

BLOCK = 2**22
"""Values that are worked on at once."""


def blocks(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Views of an array (H, W) or (H, W, C) that cover it in the order in which its pixels count.

    A view holds whole rows, several of them or one; rows of more than `BLOCK` values come in parts.
    """
    values = pixels[0, :1].size if len(pixels) else 1
    columns = max(1, BLOCK // max(1, values))
    rows = max(1, BLOCK // max(1, values * pixels.shape[1]))
    for top in range(0, pixels.shape[0], rows):
        for left in range(0, pixels.shape[1], columns):
            yield pixels[top : top + rows, left : left + columns]
