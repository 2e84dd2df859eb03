"""Images of any depth and number of channels as something a screen can show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PERCENTILES = (0.5, 99.5)
_SAMPLED_SIDE = 1024


def to_display(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) of an image (H, W) or (H, W, C).

    uint8 values stay as they are; any other type is stretched from its 0.5th to its 99.5th percentile, together for
    gray and colour images and per channel otherwise. One channel becomes gray, two become red and green, of more the
    first three are shown. Values that are no finite numbers are black.
    """
    image = image if image.ndim == 3 else image[..., None]
    together = image.shape[2] in (1, 3, 4)
    shown = image[..., :3]
    eight_bit = shown if shown.dtype == np.uint8 else _stretch(shown, together)
    if eight_bit.shape[2] == 1:
        return np.repeat(eight_bit, 3, axis=2)
    if eight_bit.shape[2] == 2:
        return np.concatenate([eight_bit, np.zeros_like(eight_bit[..., :1])], axis=2)
    return np.ascontiguousarray(eight_bit)


def _stretch(image: NDArray[Any], together: bool) -> NDArray[np.uint8]:
    values = image.astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    # Percentiles of a grid of pixels: those of all pixels of a large scan would take seconds and look the same.
    step = max(1, max(image.shape[:2]) // _SAMPLED_SIDE)
    sampled = values[::step, ::step]
    if np.isnan(sampled).all():
        return np.zeros(image.shape, np.uint8)
    low, high = np.nanpercentile(sampled, _PERCENTILES, axis=None if together else (0, 1))
    scaled = (values - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.rint(np.nan_to_num(scaled.clip(0, 1)) * 255).astype(np.uint8)
