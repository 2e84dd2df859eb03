"""Masks as GeoJSON (RFC 7946), in pixels with the y axis pointing down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from segkit.ops.polygons import Ring, outlines


def collection(features: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A feature collection."""
    return {"type": "FeatureCollection", "features": list(features)}


def feature(mask: NDArray[Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """A mask (H, W) as one feature: a polygon with its holes, or several where it is in parts."""
    polygons = [[_closed(outline.exterior), *map(_closed, outline.holes)] for outline in outlines(mask)]
    geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": polygons}
    if len(polygons) == 1:
        geometry = {"type": "Polygon", "coordinates": polygons[0]}
    return {"type": "Feature", "properties": dict(properties), "geometry": geometry}


def _closed(ring: Ring) -> list[list[float]]:
    """The corners with the first again at the end, in the order that GeoJSON wants of an axis that points up."""
    corners: list[list[float]] = ring[::-1].tolist()
    return [*corners, corners[0]]
