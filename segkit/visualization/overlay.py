"""A mask laid over its image: translucent fill, crisp contours."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.structures import ClassMap
from segkit.visualization.display import to_display

_PIXELS_PER_OUTLINE_PIXEL = 600


def overlay(
    image: NDArray[Any],
    mask: NDArray[np.integer[Any]],
    classes: ClassMap,
    opacity: float = 0.5,
    outline: int | None = None,
) -> NDArray[np.uint8]:
    """Draw a mask over its image; the background and ids that are no class stay as they are.

    Args:
        image: (H, W) or (H, W, C) of any type, shown as `to_display` shows it.
        mask: (H, W) class ids, as in `SegmentationResult.mask`.
        classes: what the ids mean, with their colours.
        opacity: of the fill, 0 (contours alone) to 1.
        outline: width of the contours in pixels, 0 for none; None: by the size of the image.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ValueError: image and mask differ in size, or the opacity is not in 0..1.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"image {image.shape[:2]} and mask {mask.shape} differ in size")
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity {opacity} is not in 0..1")
    picture = to_display(image)
    indices = classes.ids_to_indices(mask)
    colors = np.asarray([*classes.colors, (0, 0, 0)], np.uint8)[indices]
    tinted = (indices >= 0) if classes.background is None else (indices >= 0) & (indices != classes.background)
    blended = cv2.addWeighted(picture, 1 - opacity, colors, opacity, 0)
    drawn = np.where(tinted[..., None], blended, picture)
    width = outline_width(mask.shape) if outline is None else outline
    edge = tinted & region_edges(indices, width)
    drawn[edge] = colors[edge]
    return drawn


def region_edges(indices: NDArray[np.integer[Any]], width: int) -> NDArray[np.bool_]:
    """(H, W) whether another index lies within `width` pixels in a straight line; the image's border is no edge."""
    if width == 0:
        return np.zeros(indices.shape, bool)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * width + 1, 2 * width + 1))
    labels = indices.astype(np.int16 if indices.itemsize <= 2 else np.float32)
    return np.asarray(cv2.dilate(labels, cross) != cv2.erode(labels, cross))


def outline_width(size: tuple[int, ...]) -> int:
    """Pixels of contour that look thin but clear on an image of this (H, W)."""
    return max(1, round(max(size) / _PIXELS_PER_OUTLINE_PIXEL))
