"""An image of any size with what is known about it drawn on it: mask, boxes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.structures import Box, ClassMap, Color
from segkit.visualization.display import to_display
from segkit.visualization.overlay import overlay


def marked_picture(
    image: NDArray[Any],
    classes: ClassMap,
    side: int,
    indices: NDArray[np.integer[Any]] | None = None,
    boxes: Iterable[tuple[Box, Color]] = (),
) -> NDArray[np.uint8]:
    """A small RGB picture of an image, its mask laid over it and boxes drawn on it.

    Args:
        image: (H, W) or (H, W, C) of any type, shown as `to_display` shows it.
        classes: names and colours of the indices.
        side: the longer side of the picture in pixels; small images are enlarged by a whole factor up to it.
        indices: (H, W) class indices, `IGNORE_INDEX` where not counted.
        boxes: in pixels of the image, with their colours.

    Raises `ValueError` where mask and image differ in size.
    """
    height, width = image.shape[:2]
    if indices is not None and indices.shape != (height, width):
        raise ValueError(f"image {image.shape[:2]} and mask {indices.shape} differ in size")
    longest = max(height, width)
    scale = float(side // longest) if longest <= side else side / longest
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    picture: NDArray[np.uint8] = np.asarray(cv2.resize(to_display(image), size, interpolation=method), np.uint8)
    if indices is not None:
        # Indices stand for ids here, so that what is not counted needs no id of its own.
        plain = ClassMap(classes.names, classes.colors, background=classes.background)
        shown = cv2.resize(indices.astype(np.int16), size, interpolation=cv2.INTER_NEAREST_EXACT)
        picture = overlay(picture, shown, plain, opacity=0.4)
    for box, color in boxes:
        _draw_box(picture, box, color, scale)
    return picture


def _draw_box(picture: NDArray[np.uint8], box: Box, color: Color, scale: float) -> None:
    """Two lines thick, dark beneath, so that it shows on any ground; what lies outside is not drawn."""
    if not np.isfinite(box).all():
        return
    reach = 4 * max(picture.shape)  # far away coordinates would overflow
    left, top, right, bottom = (round(min(max(side * scale, -reach), reach)) for side in box)
    cv2.rectangle(picture, (left, top), (right, bottom), (0, 0, 0), 3)
    cv2.rectangle(picture, (left, top), (right, bottom), color, 2 if max(picture.shape) > 200 else 1)
