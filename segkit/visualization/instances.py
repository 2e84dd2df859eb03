"""Objects drawn on an image, neighbours in different colours."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.visualization.display import to_display

COLORS = np.array(
    [(230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167)],
    np.uint8,
)
"""Told apart by colour-blind people as well (Okabe and Ito, Color Universal Design, 2008)."""

_SHOWN_SIDE = 560
_GAP = 12


def draw_instances(image: NDArray[Any], ids: NDArray[np.integer[Any]], opacity: float = 0.45) -> NDArray[np.uint8]:
    """An RGB picture of an image with every object filled and outlined in a colour of its own.

    Args:
        image: (H, W) or (H, W, C) of any type.
        ids: (H, W) 0 no object, 1..M the objects; below 0 not counted.
        opacity: of the filling, 0 to 1.
    """
    picture = to_display(image).astype(np.float32)
    objects = ids > 0
    colors = COLORS[(ids.clip(1) * 3 - 3) % len(COLORS)].astype(np.float32)
    picture[objects] = (1 - opacity) * picture[objects] + opacity * colors[objects]
    values = ids.astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    edge = objects & (cv2.dilate(values, kernel) != cv2.erode(values, kernel))
    picture[edge] = colors[edge]
    return np.rint(picture).astype(np.uint8)


def instances_side_by_side(
    image: NDArray[Any], reference: NDArray[np.integer[Any]], ids: NDArray[np.integer[Any]]
) -> NDArray[np.uint8]:
    """The marked objects and the predicted ones on the same image, beside each other."""
    height, width = image.shape[:2]
    scale = _SHOWN_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(to_display(image), size, interpolation=method), np.uint8)
    drawn = [
        draw_instances(small, cv2.resize(map_.astype(np.float32), size, interpolation=cv2.INTER_NEAREST).astype(int))
        for map_ in (reference, ids)
    ]
    return np.concatenate([drawn[0], np.full((size[1], _GAP, 3), 255, np.uint8), drawn[1]], axis=1)
