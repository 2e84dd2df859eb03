"""Boxes with their classes drawn on an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segkit.structures import ClassMap, Color
from segkit.visualization.display import to_display

_SHOWN_SIDE = 560
_GAP = 12


class _Found(Protocol):
    @property
    def corners(self) -> NDArray[np.float32]: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    @property
    def scores(self) -> NDArray[np.float32]: ...


def draw_boxes(
    image: NDArray[Any],
    corners: NDArray[Any],
    labels: NDArray[Any],
    classes: ClassMap,
    scores: Sequence[float] | NDArray[Any] | None = None,
) -> NDArray[np.uint8]:
    """An RGB picture of an image with boxes in the colours of their classes, each with its name and score.

    Lines and letters grow with the image; a name stands above its box, or inside where there is no room, and is left
    out where the box is smaller than its letters.

    Args:
        image: (H, W) or (H, W, C) of any type.
        corners: (M, 4) left, top, right and bottom in pixels.
        labels: (M,) class indices.
        classes: names and colours.
        scores: (M,) 0 to 1; None: no numbers.
    """
    picture = np.ascontiguousarray(to_display(image))
    side = max(picture.shape[:2])
    width, letters = max(1, round(side / 280)), max(9, round(side / 50))
    for box, label in zip(corners, labels, strict=True):
        first, last = ((int(box[0]), int(box[1])), (int(np.ceil(box[2])) - 1, int(np.ceil(box[3])) - 1))
        cv2.rectangle(picture, first, last, (0, 0, 0), width + 2)
        cv2.rectangle(picture, first, last, visible_color(classes, int(label)), width)
    drawn = Image.fromarray(picture)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(letters)
    for place, (box, label) in enumerate(zip(corners, labels, strict=True)):
        text = classes.names[label] + ("" if scores is None else f" {scores[place]:.2f}")
        if box[2] - box[0] < 2 * letters:
            continue
        if pen.textlength(text, font) > 1.2 * (box[2] - box[0]):
            text = classes.names[label][:3] if scores is None else f"{scores[place]:.2f}"
        top = box[1] - letters * 1.35
        at = (float(box[0]), float(top if top >= 0 else box[1] + width))
        color = visible_color(classes, int(label))
        pen.rectangle(pen.textbbox(at, text, font), fill=color)
        pen.text(at, text, fill=(0, 0, 0) if sum(color) > 380 else (255, 255, 255), font=font)
    return np.asarray(drawn, np.uint8)


def boxes_side_by_side(
    image: NDArray[Any], classes: ClassMap, reference: tuple[NDArray[Any], NDArray[Any]], found: _Found
) -> NDArray[np.uint8]:
    """The marked boxes and the predicted ones on the same image, beside each other."""
    height, width = image.shape[:2]
    scale = _SHOWN_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(to_display(image), size, interpolation=method), np.uint8)
    left = draw_boxes(small, reference[0] * scale, reference[1], classes)
    right = draw_boxes(small, found.corners * scale, found.labels, classes, found.scores)
    return np.concatenate([left, np.full((size[1], _GAP, 3), 255, np.uint8), right], axis=1)


def draw_label(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) with a line of text in its upper left corner."""
    letters = max(10, round(max(picture.shape[:2]) / 35))
    drawn = Image.fromarray(picture)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(letters)
    _, _, right, bottom = pen.textbbox((letters / 2, letters / 3), text, font)
    pen.rectangle((0, 0, right + letters / 2, bottom + letters / 3), fill=(20, 24, 28))
    pen.text((letters / 2, letters / 3), text, fill=(255, 255, 255), font=font)
    return np.asarray(drawn, np.uint8)


def visible_color(classes: ClassMap, index: int) -> Color:
    """The class's colour, or yellow where it is black, which shows on no ground."""
    color = classes.colors[index]
    return color if max(color) >= 64 else (255, 210, 0)
