"""Where the pixels of DICOM images lie: spacing, positions and the order of slices."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._volumes import Grid

GEOMETRY = [
    *("PixelSpacing", "ImagerPixelSpacing", "SpacingBetweenSlices", "SliceThickness", "ImagePositionPatient"),
    *("ImageOrientationPatient", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
]
"""The elements read here."""


def frame_grid(dataset: Any, shape: tuple[int, int, int]) -> Grid:
    """The grid of the frames of one file."""
    pixel = numbers(_element(dataset, "PixelMeasuresSequence", "PixelSpacing"), 2) or numbers(
        dataset.get("ImagerPixelSpacing"), 2
    )
    orientation = numbers(_element(dataset, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    frames = [
        numbers(item.get("ImagePositionPatient"), 3)
        for group in dataset.get("PerFrameFunctionalGroupsSequence", ())
        for item in group.get("PlanePositionSequence", ())
    ] or [numbers(dataset.get("ImagePositionPatient"), 3)]
    between = numbers([_element(dataset, "PixelMeasuresSequence", "SpacingBetweenSlices")], 1) or numbers(
        [_element(dataset, "PixelMeasuresSequence", "SliceThickness")], 1
    )
    positions = [position for position in frames if position is not None]
    return make_grid(shape, pixel, orientation, positions, between[0] if between else None)


def make_grid(
    shape: tuple[int, int, int],
    pixel: tuple[float, ...] | None,
    orientation: tuple[float, ...] | None,
    positions: list[tuple[float, ...]],
    between: float | None,
) -> Grid:
    """The grid of slices on top of one another.

    Args:
        shape: rows, columns, slices.
        pixel: distance of rows and of columns in mm.
        orientation: directions in which the columns and the rows count (DICOM's six cosines).
        positions: of the first pixel of the first slices in their order, mm.
        between: distance of slices in mm where positions do not tell it.
    """
    step = _step(positions)
    distance = float(np.linalg.norm(step)) if step is not None else between
    if pixel is None or min(pixel) <= 0:
        return Grid(shape)
    if not distance or distance < 0:
        return Grid(shape, plane=(pixel[0], pixel[1]))
    spacing = pixel[0], pixel[1], distance
    if orientation is None or not positions:
        return Grid(shape, spacing)
    along_columns, along_rows = np.array(orientation[:3]), np.array(orientation[3:])
    affine = np.eye(4)
    # DICOM counts to the left and to the back, NIfTI to the right and to the front; rows lie along the second cosines.
    affine[:3, 0], affine[:3, 1] = along_rows * pixel[0], along_columns * pixel[1]
    affine[:3, 2] = step if step is not None else np.cross(along_columns, along_rows) * distance
    affine[:3, 3] = positions[0]
    return Grid(shape, spacing, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """So many finite numbers, None where the element does not hold them."""
    try:
        found = tuple(map(float, value))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


def _step(positions: list[tuple[float, ...]]) -> NDArray[np.float64] | None:
    """From one slice to the next, the mean over all; None for one slice."""
    if len(positions) < 2:
        return None
    step = (np.array(positions[-1]) - positions[0]) / (len(positions) - 1)
    return step if np.linalg.norm(step) > 0 else None


def _element(dataset: Any, sequence: str, name: str) -> Any:
    """An element of a functional group, shared or of the first frame, else of the file itself."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(dataset.get(groups, ()))[:1]:
            for item in list(group.get(sequence, ()))[:1]:
                if item.get(name) is not None:
                    return item.get(name)
    return dataset.get(name)
