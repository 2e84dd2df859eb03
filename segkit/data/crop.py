"""Crops for training: where they lie, and cutting them out, beyond the border as well."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.ops.boxes import box_areas, clip_boxes, has_area
from segkit.ops.sizes import pad_mirrored
from segkit.structures import IGNORE_INDEX, Boxes

Size = tuple[int, int]
"""Height and width in pixels."""

LEAST_SHOWN = 0.5
"""Share of an object's box that must lie in a crop for the object to be learnt there."""


class Window(NamedTuple):
    """A rectangle of an image in pixels; it may reach beyond the border."""

    top: int
    left: int
    height: int
    width: int


def choose_window(
    image_size: Size,
    size: Size,
    generator: np.random.Generator,
    shown: NDArray[np.int16] | Boxes | None = None,
    foreground: Collection[int] = (),
    foreground_share: float = 0.0,
) -> Window:
    """A random window of `size` in an image, centred and reaching beyond it along an axis where the image is smaller.

    With probability `foreground_share` the window lies around the foreground: one of the `foreground` classes present
    in `shown`, a mask or boxes, is drawn (rare ones as likely as common), then one of its pixels or boxes, and a window
    with this pixel, or the middle of this box, in its middle half. Else, and where no such class is present, every
    position is equally likely.
    """
    pixel = None
    if shown is not None and generator.random() < foreground_share:
        if isinstance(shown, Boxes):
            pixel = _middle_of_object(shown, foreground, generator)
        else:
            pixel = _foreground_pixel(shown, foreground, generator)
    ranges = [_range(length, crop) for length, crop in zip(image_size, size, strict=True)]
    if pixel is not None:
        ranges = [_around(p, crop, *allowed) for p, crop, allowed in zip(pixel, size, ranges, strict=True)]
    top, left = (int(generator.integers(first, last, endpoint=True)) for first, last in ranges)
    return Window(top, left, *size)


def scaled_size(size: Size, scale: float, generator: np.random.Generator) -> Size:
    """The size to cut so that, resized to `size`, it is magnified by a factor from 1/scale to scale (log-uniform)."""
    factor = math.exp(generator.uniform(-1, 1) * math.log(scale))
    return max(round(size[0] / factor), 1), max(round(size[1] / factor), 1)


def cut_image(image: NDArray[Any], window: Window) -> NDArray[Any]:
    """The window of an image (H, W, C), mirrored beyond the border; dtype kept."""
    inside, padding = _split(image.shape[:2], window)
    return pad_mirrored(image[inside].transpose(2, 0, 1), padding).transpose(1, 2, 0)


def cut_mask(mask: NDArray[Any], window: Window) -> NDArray[Any]:
    """The window of a mask or of ids (H, W), `IGNORE_INDEX` beyond the border: nothing is learned there."""
    inside, (top, bottom, left, right) = _split(mask.shape, window)
    return np.pad(mask[inside], ((top, bottom), (left, right)), constant_values=IGNORE_INDEX)


def place_boxes(boxes: Boxes, window: Window, image_size: Size, size: Size) -> Boxes:
    """The boxes of an image in pixels of a window resized to `size`, not cut to it.

    After them come, as regions that do not count, those where the window reaches beyond the image and shows it
    mirrored.

    Args:
        boxes: of the whole image.
        window: may reach beyond the border.
        image_size: (H, W).
        size: (H, W) that the window is resized to.
    """
    outside = _outside(window, image_size)
    outside = outside[has_area(outside)]
    corners = np.concatenate([boxes.corners - np.array([window.left, window.top] * 2, np.float32), outside])
    labels = np.concatenate([boxes.labels, np.full(len(outside), IGNORE_INDEX, np.int64)])
    return Boxes(corners * np.array([size[1] / window.width, size[0] / window.height] * 2, np.float32), labels)


def cut_boxes(boxes: Boxes, size: Size) -> Boxes:
    """Boxes cut to a crop of `size`, row by row.

    An object of which at least half of the box lies in the crop is learnt there. Where less of one shows is a region
    that does not count, label `IGNORE_INDEX`; so is what lies outside, which is left without area.
    """
    seen = clip_boxes(boxes.corners, size)
    shares = box_areas(seen) / box_areas(boxes.corners).clip(min=1e-9)
    return Boxes(seen, np.where(shares >= LEAST_SHOWN, boxes.labels, IGNORE_INDEX))


def _outside(window: Window, image_size: Size) -> NDArray[np.float32]:
    """(4, 4) boxes, in pixels of the window, of what lies above, below, left and right of the image."""
    height, width = window.height, window.width
    top, left = -window.top, -window.left
    bottom, right = top + image_size[0], left + image_size[1]
    bands = [(0, 0, width, top), (0, bottom, width, height), (0, 0, left, height), (right, 0, width, height)]
    return np.array(bands, np.float32)


def resize_mask(mask: NDArray[Any], size: Size) -> NDArray[Any]:
    """Resize (H, W) by taking the nearest pixel."""
    if mask.shape == size:
        return mask
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def _range(length: int, crop: int) -> tuple[int, int]:
    """First and last position of a crop inside the image; the centred one where it does not fit."""
    spare = length - crop
    return (0, spare) if spare >= 0 else (spare // 2, spare // 2)


def _around(pixel: int, crop: int, first: int, last: int) -> tuple[int, int]:
    """The positions between `first` and `last` that have `pixel` in the middle half of the crop, or nearest to it."""
    low, high = pixel - crop * 3 // 4, pixel - crop // 4
    return min(max(low, first), last), max(min(high, last), first)


def _foreground_pixel(
    mask: NDArray[np.int16], foreground: Collection[int], generator: np.random.Generator
) -> tuple[int, int] | None:
    """Row and column of a pixel of a class that is present, each class and each of its pixels equally likely."""
    flat = mask.ravel()
    counts = np.bincount(flat - IGNORE_INDEX, minlength=max(foreground, default=0) - IGNORE_INDEX + 1)
    present = [index for index in foreground if counts[index - IGNORE_INDEX] > 0]
    if not present:
        return None
    chosen = present[generator.integers(len(present))]
    positions = np.flatnonzero(flat == chosen)
    row, column = divmod(int(positions[generator.integers(len(positions))]), mask.shape[1])
    return row, column


def _middle_of_object(
    boxes: Boxes, foreground: Collection[int], generator: np.random.Generator
) -> tuple[int, int] | None:
    """Row and column of the middle of a box, each class that is present and each of its boxes equally likely."""
    present = np.intersect1d(boxes.labels, list(foreground))
    if not len(present):
        return None
    chosen = np.flatnonzero(boxes.labels == present[generator.integers(len(present))])
    left, top, right, bottom = boxes.corners[chosen[generator.integers(len(chosen))]]
    return int((top + bottom) / 2), int((left + right) / 2)


def _split(size: tuple[int, ...], window: Window) -> tuple[tuple[slice, slice], tuple[int, int, int, int]]:
    """The part of the window inside an image, and what it lacks at the top, bottom, left and right."""
    height, width = size
    top, left, bottom, right = window.top, window.left, window.top + window.height, window.left + window.width
    inside = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
    return inside, (max(-top, 0), max(bottom - height, 0), max(-left, 0), max(right - width, 0))
