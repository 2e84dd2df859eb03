"""Image, reference, prediction and errors beside each other: one captioned picture per example."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segkit.structures import ClassMap, Color
from segkit.visualization.display import to_display
from segkit.visualization.errors import CONFUSED, INVENTED, MISSED, error_map, error_share
from segkit.visualization.overlay import overlay

NUM_PANELS = 4

_LONGEST_SIDE = 560
_SHORTEST_SIDE = 280
_MARGIN = 20
_GAP = 12
_NARROWEST_CELL = 160
_CAPTION = 36
_LEGEND = 44
_CHIP = 13
_PAPER: Color = (255, 255, 255)
_INK: Color = (36, 41, 47)
_FAINT: Color = (101, 109, 118)


def side_by_side(
    image: NDArray[Any],
    reference: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    classes: ClassMap,
    title: str = "",
) -> NDArray[np.uint8]:
    """Image, reference, prediction and errors in a row, with captions and a legend of the classes shown.

    Args:
        image: (H, W) or (H, W, C) of any type.
        reference: (H, W) class ids; a value that is no class's id is ignored.
        prediction: (H, W) class ids.
        classes: what the ids mean, with their colours.
        title: written behind the first caption, for example the image's name.

    Returns:
        RGB picture of its own size: each panel is scaled to a side of 280 to 560 pixels.
    """
    size = _panel_size(reference.shape)
    shown = thumbnail(image)
    truth, predicted = (_scaled(classes.ids_to_indices(ids), size, smooth=False) for ids in (reference, prediction))
    # From here on the ids are indices, so that the resized masks need no second class map.
    plain = ClassMap(classes.names, classes.colors, background=classes.background)
    panels = (
        shown,
        overlay(shown, truth, plain),
        overlay(shown, predicted, plain),
        error_map(shown, truth, predicted, plain),
    )
    wrong = f"{error_share(reference, prediction, classes):.1%} of pixels"
    tinted = [index for index in classes.foreground if (truth == index).any() or (predicted == index).any()]
    return _compose(panels, (("Image", title), ("Reference", ""), ("Prediction", ""), ("Errors", wrong)), plain, tinted)


def thumbnail(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image (H, W) or (H, W, C) of any type as an RGB picture of a panel's size."""
    return _scaled(to_display(image), _panel_size(image.shape[:2]), smooth=True)


def split_panels(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """The four panels of a picture that `side_by_side` drew, without captions and legend."""
    height = picture.shape[0] - _CAPTION - _LEGEND
    width = (picture.shape[1] - 2 * _MARGIN - (NUM_PANELS - 1) * _GAP) // NUM_PANELS
    lefts = [_MARGIN + i * (width + _GAP) for i in range(NUM_PANELS)]
    return [picture[_CAPTION : _CAPTION + height, left : left + width] for left in lefts]


def _panel_size(size: Sequence[int]) -> tuple[int, int]:
    """(H, W) of a panel: shrunk to the longest side, or enlarged by a whole factor so that small pixels stay square."""
    longest = max(size)
    if longest > _LONGEST_SIDE:
        return max(1, round(size[0] * _LONGEST_SIDE / longest)), max(1, round(size[1] * _LONGEST_SIDE / longest))
    factor = max(1, -(-_SHORTEST_SIDE // longest))
    return size[0] * factor, size[1] * factor


def _scaled(picture: NDArray[Any], size: tuple[int, int], smooth: bool) -> NDArray[Any]:
    shrinks = size[0] < picture.shape[0]
    method = cv2.INTER_AREA if smooth and shrinks else cv2.INTER_NEAREST_EXACT
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=method))


def _compose(
    panels: Sequence[NDArray[np.uint8]],
    captions: Sequence[tuple[str, str]],
    classes: ClassMap,
    tinted: Sequence[int],
) -> NDArray[np.uint8]:
    height, width = panels[0].shape[0], max(panels[0].shape[1], _NARROWEST_CELL)
    total = 2 * _MARGIN + len(panels) * width + (len(panels) - 1) * _GAP
    sheet = Image.new("RGB", (total, _CAPTION + height + _LEGEND), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (panel, (caption, detail)) in enumerate(zip(panels, captions, strict=True)):
        left = _MARGIN + number * (width + _GAP)
        sheet.paste(Image.fromarray(panel), (left, _CAPTION))
        draw.text((left, _CAPTION / 2), caption, _INK, _font(16), anchor="lm")
        start = left + draw.textlength(caption, _font(16)) + 10
        fitted = _fitted(draw, detail, left + width - start)
        draw.text((start, _CAPTION / 2 + 1), fitted, _FAINT, _font(13), anchor="lm")
    middle = _CAPTION + height + _LEGEND / 2
    errors = [("missed", MISSED), ("invented", INVENTED), ("confused", CONFUSED)]
    if classes.background is None:
        errors = [("wrong class", CONFUSED)]
    errors_left = _MARGIN + 3 * (width + _GAP)
    named = [(classes.names[index], classes.colors[index]) for index in tinted]
    _legend(draw, named, _MARGIN, middle, errors_left - _GAP)
    _legend(draw, errors, errors_left, middle, total)
    return np.asarray(sheet)


def _legend(
    draw: ImageDraw.ImageDraw, entries: Sequence[tuple[str, Color]], left: float, middle: float, end: float
) -> None:
    """Coloured squares with names on one line; entries that do not fit before `end` become an ellipsis."""
    for name, color in entries:
        advance = _CHIP + 7 + draw.textlength(name, _font(14)) + 18
        if left + advance > end:
            draw.text((left, middle), "…", _FAINT, _font(14), anchor="lm")
            return
        box = (left, middle - _CHIP / 2, left + _CHIP, middle + _CHIP / 2)
        draw.rounded_rectangle(box, radius=3, fill=color, outline=(208, 215, 222))
        draw.text((left + _CHIP + 7, middle), name, _INK, _font(14), anchor="lm")
        left += advance


def _fitted(draw: ImageDraw.ImageDraw, text: str, width: float) -> str:
    """`text`, its beginning cut where it is wider than `width` pixels."""
    text = " ".join(text.split())
    if draw.textlength(text, _font(13)) <= width:
        return text
    while text and draw.textlength("…" + text, _font(13)) > width:
        text = text[1:]
    return "…" + text if text else ""


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
