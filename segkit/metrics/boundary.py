"""Distances between the outlines of two regions: HD95, ASSD and NSD.

The outline of a region is made of its pixels that touch, by an edge, a pixel outside it or the border of the image, as
MedPy and MONAI take it; distances are Euclidean, between the centres of outline pixels. Definitions after L. Maier-Hein
et al., Metrics reloaded, Nature Methods 21, 2024, and for the NSD S. Nikolov et al., Clinically applicable segmentation
of head and neck anatomy for radiotherapy, JMIR 23, 2021, with outline pixels in the place of surface elements.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from segkit.metrics.region import FloatArray
from segkit.structures import IGNORE_INDEX

PERCENTILE = 95
DEFAULT_TOLERANCE = 2.0
"""Pixels, or mm where the images state their spacing."""

_SPARSE = 0.1

Spacing = tuple[float, float]
Region = NDArray[np.bool_]


class BoundaryScores(NamedTuple):
    """How far two outlines lie apart, in the unit of the spacing.

    Attributes:
        hd95: the larger of the two directed 95th percentiles of the distances (MedPy takes the percentile of both
            directions together).
        assd: mean of all distances, both directions together (MedPy averages the means of the directions).
        nsd: share of both outlines that lies within the tolerance of the other, 0 to 1.
    """

    hd95: float
    assd: float
    nsd: float


def boundary_scores(
    reference: Region, prediction: Region, tolerance: float = DEFAULT_TOLERANCE, spacing: Spacing = (1.0, 1.0)
) -> BoundaryScores:
    """Compare the outlines of two regions (H, W).

    Args:
        reference: the true region; like `prediction` it has at least one pixel.
        prediction: the region to judge.
        tolerance: of the NSD, in the unit of the spacing.
        spacing: distance between neighbouring rows, and between neighbouring columns.

    Raises:
        ValueError: the shapes differ, or a region is empty and has no outline.
    """
    distances = outline_distances(reference, prediction, spacing)
    both = np.concatenate(distances)
    directed = [float(np.percentile(one, PERCENTILE)) for one in distances]
    return BoundaryScores(max(directed), float(both.mean()), float((both <= tolerance).mean()))


def class_boundary_scores(
    reference: NDArray[np.integer[Any]],
    prediction: NDArray[np.integer[Any]],
    class_: int,
    tolerance: float,
    spacing: Spacing,
) -> BoundaryScores:
    """`boundary_scores` of one class of two masks (H, W) of class indices; ignored pixels belong to no class."""
    return boundary_scores(
        reference == class_, (prediction == class_) & (reference != IGNORE_INDEX), tolerance, spacing
    )


def outline_distances(reference: Region, prediction: Region, spacing: Spacing) -> tuple[FloatArray, FloatArray]:
    """The distance of every outline pixel of the reference to the outline of the prediction, and the other way round.

    Args and errors as of `boundary_scores`.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"reference {reference.shape} and prediction {prediction.shape} differ in shape")
    if not (reference.any() and prediction.any()):
        raise ValueError("an empty region has no outline; count it as missed or invented")
    box = _bounding_box(reference | prediction)
    ours, theirs = outline(reference[box]), outline(prediction[box])
    # Both are exact. Distances of few pixels are found faster by a tree, those of many by a transform of the whole box.
    sparse = int(ours.sum()) + int(theirs.sum()) < _SPARSE * ours.size
    nearest = _nearest_by_tree if sparse else _nearest_by_transform
    return nearest(ours, theirs, spacing), nearest(theirs, ours, spacing)


def outline(region: Region) -> Region:
    """The pixels (H, W) of a region with one of their four neighbours outside it, or outside the image."""
    padded = np.pad(region, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return region & ~inside


def _bounding_box(region: Region) -> tuple[slice, slice]:
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _nearest_by_tree(from_: Region, to: Region, spacing: Spacing) -> FloatArray:
    distances, _ = KDTree(np.argwhere(to) * spacing).query(np.argwhere(from_) * spacing)
    return np.asarray(distances, np.float64)


def _nearest_by_transform(from_: Region, to: Region, spacing: Spacing) -> FloatArray:
    distances: FloatArray = ndimage.distance_transform_edt(~to, sampling=spacing)[from_]
    return distances
