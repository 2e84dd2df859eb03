"""The image that a result is drawn on or measured with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import read_image
from segkit.errors import UsageError

Image = str | Path | NDArray[Any]
"""A file, or stored values (H, W) or (H, W, C)."""


def stored_values(image: Image, size: tuple[int, ...] | None = None) -> NDArray[Any]:
    """The values of an image; raises `UsageError` where it has not the `size` (H, W) of the result, if that has one."""
    values = image if isinstance(image, np.ndarray) else read_image(image)
    if size is not None and values.shape[:2] != size:
        (height, width), (expected_height, expected_width) = values.shape[:2], size
        raise UsageError(
            f"the image is of {width} x {height} pixels, and the result of one of {expected_width} x {expected_height};"
            " give the image that was predicted"
        )
    return values
