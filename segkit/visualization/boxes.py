"""Boxes with their classes drawn on an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.structures import ClassMap, Color
from segkit.visualization.display import to_display
from segkit.visualization.labels import (
    Place,
    caption_place,
    is_bright,
    label_size,
    letter_size,
    write_caption,
    write_labels,
)

_SHOWN_SIDE = 560
_GAP = 12
_PIXELS_PER_LINE_PIXEL = 300
_SMALLEST_WITH_RIMS = 200
_MOST_HIDDEN = 0.25
"""Share of a box that a name may cover."""


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
    caption: str = "",
) -> NDArray[np.uint8]:
    """An RGB picture of an image with boxes in the colours of their classes, each with its name and score.

    Lines and letters grow with the image. Lines run around the boxes, so that they hide nothing of small objects. A
    name stands above its box, else below, else inside, wherever it covers no other name and no other box; without such
    a place it is left out.

    Args:
        image: (H, W) or (H, W, C) of any type.
        corners: (M, 4) left, top, right and bottom in pixels.
        labels: (M,) class indices.
        classes: names and colours.
        scores: (M,) 0 to 1, the surest is named first; None: no numbers.
        caption: a line in the upper left corner, which no name covers.
    """
    picture = np.ascontiguousarray(to_display(image)).copy()
    size = picture.shape[0], picture.shape[1]
    boxes = [_in_pixels(box, size) for box in corners]
    colors = [visible_color(classes, int(label)) for label in labels]
    width = max(1, round(max(size) / _PIXELS_PER_LINE_PIXEL))
    for box, color in reversed(list(zip(boxes, colors, strict=True))):  # the surest over the others
        _draw_box(picture, box, color, width)
    names = [classes.names[label] for label in labels]
    texts = names if scores is None else [f"{name} {score:.2f}" for name, score in zip(names, scores, strict=True)]
    letters = letter_size(size)
    taken = [caption_place(caption, size)] if caption else []
    places = _places(boxes, [label_size(text, letters) for text in texts], size, 2 * width, taken)
    named = zip(texts, places, colors, strict=True)
    drawn = write_labels(picture, [(text, place, color) for text, place, color in named if place], letters)
    return write_caption(drawn, caption) if caption else drawn


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


def visible_color(classes: ClassMap, index: int) -> Color:
    """The class's colour, or yellow where it is black, which shows on no ground."""
    color = classes.colors[index]
    return color if max(color) >= 64 else (255, 210, 0)


def _in_pixels(box: NDArray[Any], size: tuple[int, int]) -> Place:
    """The pixels that a box touches, inside the image."""
    (left, top), (right, bottom) = np.floor(box[:2]), np.ceil(box[2:])
    return max(int(left), 0), max(int(top), 0), min(int(right), size[1]), min(int(bottom), size[0])


def _draw_box(picture: NDArray[np.uint8], box: Place, color: Color, width: int) -> None:
    """A frame around a box, with a rim that shows on any ground; where the image ends it lies inside the box."""
    height, breadth = picture.shape[:2]
    left, top, right, bottom = box
    width = max(1, min(width, min(right - left, bottom - top) // 6))
    inner = max(left, width), max(top, width), min(right, breadth - width), min(bottom, height - width)
    if max(height, breadth) >= _SMALLEST_WITH_RIMS:
        _frame(picture, inner, width + max(1, width // 3), (0, 0, 0) if is_bright(color) else (255, 255, 255))
    _frame(picture, inner, width, color)


def _frame(picture: NDArray[np.uint8], inner: Place, width: int, color: Color) -> None:
    left, top, right, bottom = inner
    rows, columns = slice(max(0, top - width), bottom + width), slice(max(0, left - width), right + width)
    picture[max(0, top - width) : top, columns] = color
    picture[bottom : bottom + width, columns] = color
    picture[rows, max(0, left - width) : left] = color
    picture[rows, right : right + width] = color


def _places(
    boxes: Sequence[Place],
    label_sizes: Sequence[tuple[int, int]],
    size: tuple[int, int],
    gap: int,
    written: Sequence[Place],
) -> list[Place | None]:
    """Where the names stand, beside what is written; None for those without room."""
    areas = np.array(boxes, np.int64).reshape(-1, 4)
    taken = np.array(written, np.int64).reshape(-1, 4)
    places: list[Place | None] = []
    for number, box in enumerate(boxes):
        others = np.delete(areas, number, axis=0)
        rooms = (place for place in _rooms(box, label_sizes[number], size, gap) if not _covered(place, taken).any())
        place = next((room for room in rooms if (_covered(room, others) <= _MOST_HIDDEN).all()), None)
        if place is not None:
            taken = np.vstack([taken, place])
        places.append(place)
    return places


def _rooms(box: Place, label: tuple[int, int], size: tuple[int, int], gap: int) -> Iterator[Place]:
    """Where the name of a box could stand inside the image, the best first: above, below, inside."""
    left, top, right, bottom = box
    width, height = label
    starts = dict.fromkeys(max(0, min(start, size[1] - width)) for start in (left - gap // 2, right + gap // 2 - width))
    tops = [top - gap - height, bottom + gap]
    if width <= right - left and width * height <= _MOST_HIDDEN * (right - left) * (bottom - top):
        tops += [top, bottom - height]
    for at in tops:
        if at >= 0 and at + height <= size[0]:
            yield from ((start, at, start + width, at + height) for start in starts)


def _covered(place: Place, areas: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) the share of each area (M, 4) that lies in a place."""
    low, high = np.maximum(areas[:, :2], place[:2]), np.minimum(areas[:, 2:], place[2:])
    sides = areas[:, 2:] - areas[:, :2]
    return np.asarray((high - low).clip(min=0).prod(axis=1) / sides.prod(axis=1).clip(min=1), np.float64)
