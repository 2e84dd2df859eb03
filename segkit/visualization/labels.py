"""Words on pictures: as large as the picture asks for, in black or white on a ground of colour."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segkit.structures import Color

Place = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels of the picture."""

_PIXELS_PER_LETTER = 45
_SMALLEST_LETTERS = 10
_SMALLEST_FITTED = 7
_BAR: Color = (20, 24, 28)
_BRIGHT = 140


def letter_size(size: Sequence[int]) -> int:
    """Height of letters in pixels that reads well on a picture of this (H, W)."""
    return max(_SMALLEST_LETTERS, round(max(size[:2]) / _PIXELS_PER_LETTER))


def is_bright(color: Color) -> bool:
    """Whether black shows better on a colour than white (ITU-R BT.601 luma)."""
    red, green, blue = color
    return 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT


def label_size(text: str, letters: int) -> tuple[int, int]:
    """(width, height) of a text on its ground."""
    font = _font(letters)
    return round(font.getlength(text)) + 2 * _padding(letters), round(1.3 * letters)


def write_labels(
    picture: NDArray[np.uint8], labels: Sequence[tuple[str, Place, Color]], letters: int
) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) with texts at their places, each on a ground of its colour."""
    drawn = Image.fromarray(picture)
    pen = ImageDraw.Draw(drawn)
    for text, (left, top, right, bottom), color in labels:
        pen.rectangle((left, top, right - 1, bottom - 1), fill=color)
        ink = (0, 0, 0) if is_bright(color) else (255, 255, 255)
        pen.text((left + _padding(letters), (top + bottom) / 2), text, ink, _font(letters), anchor="lm")
    return np.asarray(drawn, np.uint8)


def write_numbers(
    picture: NDArray[np.uint8], numbers: Sequence[tuple[int, float, float]], letters: int
) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) with numbers around points (number, x, y), white with a black rim."""
    drawn = Image.fromarray(picture)
    pen, rim = ImageDraw.Draw(drawn), max(1, letters // 10)
    for number, x, y in numbers:
        pen.text((x, y), str(number), (255, 255, 255), _font(letters), "mm", stroke_width=rim, stroke_fill=(0, 0, 0))
    return np.asarray(drawn, np.uint8)


def write_caption(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """An RGB picture (H, W, 3) with a line in its upper left corner, in smaller letters where it is too wide."""
    text, letters = _fitted(text, picture.shape)
    return write_labels(picture, [(text, (0, 0, *label_size(text, letters)), _BAR)], letters)


def caption_place(text: str, size: Sequence[int]) -> Place:
    """Where `write_caption` writes on a picture of this (H, W)."""
    return (0, 0, *label_size(*_fitted(text, size)))


def _fitted(text: str, size: Sequence[int]) -> tuple[str, int]:
    """The text, cut where it must be, and the height of letters with which it fits the width of a picture."""
    width, letters = size[1], letter_size(size)
    while letters > _SMALLEST_FITTED and label_size(text, letters)[0] > width:
        letters -= 1
    while len(text) > 1 and label_size(text, letters)[0] > width:
        text = text.rstrip("…")[:-1] + "…"
    return text, letters


def _padding(letters: int) -> int:
    return max(2, letters // 4)


@cache
def _font(letters: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(letters)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow with FreeType, as all its wheels are
    return font
