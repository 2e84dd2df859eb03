"""Channels of images: gray and RGB made of each other."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def convert_channels(image: NDArray[Any], to: Literal["gray", "rgb"] | None) -> NDArray[Any]:
    """(H, W, 1 or 3) to gray (ITU-R BT.601 weights) or RGB (channel repeated), dtype kept; other counts unchanged."""
    channels = image.shape[2]
    if to == "rgb" and channels == 1:
        return np.repeat(image, 3, axis=2)
    if to == "gray" and channels == 3:
        gray = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        rounded = np.rint(gray) if np.issubdtype(image.dtype, np.integer) else gray
        return rounded.astype(image.dtype)[..., None]
    return image
