"""Images of another size: resized, or the middle of one cut out."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def resize(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (H, W, C) to `size` (H, W): the mean of the pixels covered where it shrinks, bilinear where it grows."""
    height, width = size
    if image.shape[:2] == size:
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.empty((height, width, image.shape[2]), np.float32)
    for channel in range(image.shape[2]):  # one by one, because OpenCV takes no more than four
        resized[..., channel] = cv2.resize(image[..., channel], (width, height), interpolation=interpolation)
    return resized


def middle_of_proportions(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The largest middle of (H, W, C) that has the proportions of `size`, to the nearest pixel."""
    return middle(image, proportioned((image.shape[0], image.shape[1]), size))


def proportioned(whole: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The largest (H, W) within `whole` that has the proportions of `size`, to the nearest pixel."""
    scale = min(whole[0] / size[0], whole[1] / size[1])
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def middle(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The middle of (H, W, C), of `size` (H, W)."""
    top, left = middle_corner((image.shape[0], image.shape[1]), size)
    return image[top : top + size[0], left : left + size[1]]


def middle_corner(whole: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Top and left of the middle of `size` (H, W)."""
    return (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2
