"""Spacing of a TIFF file's pixels: from OME's or ImageJ's description, else from its resolution."""

from __future__ import annotations

import re
from math import isfinite
from typing import Any

_INCH, _CENTIMETRE = 25.4, 10.0
_RESOLUTION_UNITS = {2: _INCH, 3: _CENTIMETRE}
_SCREENS = (72.0, 96.0)
"""Dots per inch that programs write where nothing was measured."""

_MILLIMETRES = {
    "nm": 1e-6,
    **dict.fromkeys(("µm", "μm", "um", "micron", "microns", "micrometer", "\\u00b5m"), 1e-3),
    "mm": 1.0,
    "cm": _CENTIMETRE,
    "m": 1000.0,
    **dict.fromkeys(("inch", "in"), _INCH),
}
_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")

Spacing = tuple[float, float, float | None]
"""Millimetres between rows, columns and slices, None for slices that state none."""


def read_spacing(file: Any, page: Any) -> Spacing | None:
    """The spacing that a `TiffFile` states for a page, None where it states no unit of length."""
    if file.is_ome:
        return _of_ome(file.ome_metadata or "")
    per_unit = tuple(_ratio(page.tags.valueof(code)) for code in (283, 282))  # vertical, horizontal
    if not all(isfinite(number) and number > 0 for number in per_unit):
        return None
    rows, columns = (1 / number for number in per_unit)
    if file.is_imagej:
        described = file.imagej_metadata or {}
        unit = _MILLIMETRES.get(str(described.get("unit", "")).lower())
        depth = described.get("spacing")
        return None if unit is None else (rows * unit, columns * unit, _depth(depth, unit))
    unit = _RESOLUTION_UNITS.get(page.tags.valueof(296, 0))
    if unit is None or (unit == _INCH and set(per_unit) & set(_SCREENS)):
        return None
    return rows * unit, columns * unit, None


def _of_ome(description: str) -> Spacing | None:
    """By the attributes of the first `Pixels`, whose default unit is the micrometre (OME schema 2016-06)."""
    pixels = _PIXELS.search(description)
    found = [None if pixels is None else _length(pixels[0], axis) for axis in "YXZ"]
    return None if found[0] is None or found[1] is None else (found[0], found[1], found[2])


def _length(pixels: str, axis: str) -> float | None:
    size = re.search(rf'PhysicalSize{axis}="([0-9.eE+-]+)"', pixels)
    unit = re.search(rf'PhysicalSize{axis}Unit="([^"]*)"', pixels)
    factor = _MILLIMETRES.get(unit[1].lower() if unit else "µm")
    try:
        length = float(size[1]) * factor if size and factor else 0.0
    except ValueError:
        return None
    return length if isfinite(length) and length > 0 else None


def _depth(spacing: Any, unit: float) -> float | None:
    """ImageJ's distance of slices in mm; it writes negative ones for stacks that are turned over, and 0 for none."""
    try:
        depth = abs(float(spacing)) * unit
    except (TypeError, ValueError):
        return None
    return depth if isfinite(depth) and depth > 0 else None


def _ratio(value: Any) -> float:
    """A rational tag as a number; nan where it is absent or no number."""
    try:
        numerator, denominator = value
        return float(numerator) / float(denominator)
    except (TypeError, ValueError, ZeroDivisionError):
        return float("nan")
