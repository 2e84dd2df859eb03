"""Filters, maps and heat as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.visualization.display import to_display

_GAP = 4
_PAPER = 200


def mosaic(tiles: Sequence[NDArray[np.uint8]], tile_side: int, columns: int | None = None) -> NDArray[np.uint8]:
    """RGB pictures of one size in a grid, small ones enlarged by a whole factor up to `tile_side`, large ones shrunk.

    Raises `ValueError` without pictures.
    """
    if not tiles:
        raise ValueError("a mosaic needs at least one picture")
    height, width = tiles[0].shape[:2]
    longest = max(height, width)
    if longest <= tile_side:
        factor = tile_side // longest
        size = (width * factor, height * factor)
    else:
        size = (max(1, width * tile_side // longest), max(1, height * tile_side // longest))
    method = cv2.INTER_NEAREST if longest <= tile_side else cv2.INTER_AREA
    across = columns or ceil(sqrt(len(tiles)))
    down = ceil(len(tiles) / across)
    sheet = np.full((down * (size[1] + _GAP) - _GAP, across * (size[0] + _GAP) - _GAP, 3), _PAPER, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // across) * (size[1] + _GAP), (number % across) * (size[0] + _GAP)
        sheet[top : top + size[1], left : left + size[0]] = cv2.resize(tile, size, interpolation=method)
    return sheet


def filter_tiles(filters: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    """Filters (out, in, k, k) as RGB pictures, each stretched from its least to its greatest weight.

    Three input channels are shown as colours; otherwise every input channel is a gray picture of its own.
    """
    shown = filters.transpose(0, 2, 3, 1) if filters.shape[1] == 3 else filters.reshape(-1, *filters.shape[2:], 1)
    return [to_display(_stretched(weights)) for weights in shown]


def map_tile(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A map (h, w) in colours from its least (dark) to its greatest value (bright)."""
    return _colored(_stretched(values), cv2.COLORMAP_VIRIDIS)


def heat_over(image: NDArray[Any], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image (H, W) or (H, W, C) of any type, gray, under a heat map (H, W) of values 0 to 1."""
    gray = cv2.cvtColor(cv2.cvtColor(to_display(image), cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    colors = _colored(np.rint(heat * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    # Hot pixels hide the image less than half, cold ones not at all.
    weight = (0.15 + 0.6 * heat[..., None]).astype(np.float32)
    return np.rint(gray * (1 - weight) + colors * weight).astype(np.uint8)


def _stretched(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    low, high = float(values.min()), float(values.max())
    return np.rint((values - low) / (high - low if high > low else 1) * 255).astype(np.uint8)


def _colored(gray: NDArray[np.uint8], color_map: int) -> NDArray[np.uint8]:
    colored = cv2.applyColorMap(gray, color_map)
    return np.asarray(cv2.cvtColor(colored, cv2.COLOR_BGR2RGB), np.uint8)
