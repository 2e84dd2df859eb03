"""Outlines as GeoJSON (RFC 7946), in pixels of the image: x to the right, y down from the upper left corner.

Exteriors are counter-clockwise by their numbers, as programs check it; where y points down they look clockwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from segkit.ops.polygons import Outline, Ring

Feature = dict[str, Any]
Place = tuple[int, int]
"""Row and column of the upper left pixel of a piece of an image."""


def collection(features: Iterable[Feature]) -> dict[str, Any]:
    """A feature collection."""
    return {"type": "FeatureCollection", "features": list(features)}


def feature(outlines: Sequence[Outline], properties: Mapping[str, Any], place: Place = (0, 0)) -> Feature:
    """One feature of the outlines in a piece of an image: a polygon with its holes, or several polygons."""
    polygons = [[_closed(ring, place) for ring in (one.exterior, *one.holes)] for one in outlines]
    geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": polygons}
    if len(polygons) == 1:
        geometry = {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "Feature", "properties": dict(properties), "geometry": geometry}


def box_feature(box: Sequence[float], properties: Mapping[str, Any]) -> Feature:
    """One feature of a box: left, top, right, bottom."""
    left, top, right, bottom = box
    ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": dict(properties), "geometry": geometry}


def _closed(ring: Ring, place: Place) -> list[list[float]]:
    """The corners, the first again at the end."""
    corners: list[list[float]] = (ring + place[::-1]).tolist()
    return [*corners, corners[0]]
