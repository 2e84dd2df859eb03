"""Results as HTML: picture with a mask layer over it, table of classes, messages."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.inference.results import (
    ClassificationResult,
    CombinedResult,
    DetectionResult,
    InstanceResult,
    Result,
    SegmentationResult,
)
from segkit.ops.words import counted
from segkit.visualization import overlay, to_display

_LONGEST_SIDE = 1600
"""Pixels of a picture on the page; the mask for download keeps every pixel."""


def picture_html(image: NDArray[Any], result: SegmentationResult) -> str:
    """The image and over it a layer with its mask, whose opacity the style sheet sets.

    Args:
        image: (H, W) or (H, W, C) stored values.
        result: the prediction of that image.
    """
    small, mask = _reduced(image, result.mask)
    # Blending is linear: the bare outlines under the full mask, at any opacity, are the overlay at that opacity.
    below = _picture(overlay(small, mask, result.classes, opacity=0), "The image with the outlines of its mask")
    above = _picture(overlay(small, mask, result.classes, opacity=1), "", layer=True)
    return f"<figure>{below}{above}</figure>"


def shares_html(result: SegmentationResult) -> str:
    """What each class takes of the image, in the class's colour."""
    areas, shares = result.areas(), result.shares()
    rows = [
        _row(name, shares[name], f"{areas[name]:,} px", color)
        for name, color in zip(result.classes.names, result.classes.colors, strict=True)
    ]
    height, width = result.mask.shape
    return _table(rows, f"{width} × {height} pixels")


def classification_html(result: ClassificationResult) -> str:
    """The five most probable classes."""
    rows = [_row(name, probability, "", None) for name, probability in result.top(5)]
    return _table(rows, f"Most probable: {html.escape(result.label)}")


def counts_html(result: DetectionResult | InstanceResult) -> str:
    """How many objects there are of each class, in the class's colour."""
    classes, total = result.classes, len(result)
    counts = {index: int((result.labels == index).sum()) for index in classes.foreground}
    rows = [
        _row(classes.names[index], count / max(1, total), f"{count:,}", classes.colors[index])
        for index, count in counts.items()
    ]
    return _table(rows, counted(total, "object"))


def found_html(result: Result | CombinedResult) -> str:
    """The table of a result; of several heads their tables, one after the other."""
    match result:
        case CombinedResult():
            return "".join(found_html(part) for part in vars(result).values() if part is not None)
        case SegmentationResult():
            return shares_html(result)
        case ClassificationResult():
            return classification_html(result)
        case _:
            return counts_html(result)


def drawn_html(image: NDArray[Any], result: Result | CombinedResult) -> str:
    """The image with what was found drawn over it."""
    picture = _fitting(result.draw(image))
    return f"<figure>{_picture(picture, 'The image with what was found in it')}</figure>"


def message_html(message: str) -> str:
    """A problem, in the place of a result."""
    return f'<p class="problem" role="alert">{html.escape(message)}</p>'


def _reduced(image: NDArray[Any], mask: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Picture (h, w, 3) and mask (h, w) with sides of at most `_LONGEST_SIDE`."""
    smaller = _fitting(to_display(image))
    return smaller, cv2.resize(mask, (smaller.shape[1], smaller.shape[0]), interpolation=cv2.INTER_NEAREST)


def _fitting(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with sides of at most `_LONGEST_SIDE`."""
    height, width = picture.shape[:2]
    scale = _LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _picture(pixels: NDArray[np.uint8], description: str, layer: bool = False) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=92, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = ' class="mask-layer"' if layer else ""
    return f'<img{kind} alt="{html.escape(description)}" src="data:image/jpeg;base64,{data}">'


def _row(name: str, share: float, detail: str, color: tuple[int, int, int] | None) -> str:
    red, green, blue = color or (20, 184, 166)
    paint = f"rgb({red} {green} {blue})"
    swatch = f'<span class="swatch" style="background: {paint}"></span>' if color else ""
    return (
        f"<tr><th scope='row'>{swatch}{html.escape(name)}</th>"
        f'<td class="bar"><div style="width: {100 * share:.2f}%; background: {paint}"></div></td>'
        f"<td>{100 * share:.2f} %</td><td>{detail}</td></tr>"
    )


def _table(rows: Iterable[str], caption: str) -> str:
    return f"<table><caption>{caption}</caption><tbody>{''.join(rows)}</tbody></table>"
