"""What is measured of objects: shape, place, intensity. scikit-image's definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Spacing = tuple[float, float]


def measure(ids: NDArray[np.int32], image: NDArray[Any] | None, spacing: Spacing | None) -> dict[int, dict[str, Any]]:
    """The measures of each object by its id, lengths in pixels.

    Args:
        ids: (H, W) 0 no object.
        image: (H, W) or (H, W, C) for the mean intensity in every channel.
        spacing: distance between the centres of neighbouring rows and columns in mm, for those in mm.
    """
    from skimage.measure import regionprops

    return {
        region.label: _shape(region) | _intensities(region, image) | _in_millimetres(region, spacing)
        for region in regionprops(ids.clip(0), intensity_image=image)
    }


def _shape(region: Any) -> dict[str, Any]:
    """The middle of the first pixel lies at 0.5, 0.5: half a pixel further than scikit-image's coordinates have it."""
    row, column = region.centroid
    top, left, bottom, right = region.bbox
    return {
        "area": int(region.area),
        "centroid_x": _short(column + 0.5),
        "centroid_y": _short(row + 0.5),
        "left": left,
        "top": top,
        "right": right,
        "bottom": bottom,
        "perimeter": _short(region.perimeter),
        "solidity": _short(region.solidity),
    }


def _intensities(region: Any, image: NDArray[Any] | None) -> dict[str, float]:
    if image is None:
        return {}
    means = np.atleast_1d(region.intensity_mean)
    return {f"mean_intensity_{channel}": _short(mean) for channel, mean in enumerate(means)}


def _in_millimetres(region: Any, spacing: Spacing | None) -> dict[str, float | None]:
    """The perimeter is scikit-image's estimate, which holds for square pixels alone."""
    if spacing is None:
        return {}
    height, width = spacing
    perimeter = _short(region.perimeter * height) if np.isclose(height, width, rtol=1e-3) else None
    return {"area_mm2": _short(region.area * height * width), "perimeter_mm": perimeter}


def _short(value: Any) -> float:
    """Eight digits: tables are read by people too."""
    return float(f"{float(value):.8g}")
