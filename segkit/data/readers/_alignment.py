"""Whether two volumes of one shape lie on the same voxels, by what their files state."""

from __future__ import annotations

from itertools import product
from math import isclose

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._volumes import Grid

TOLERANCE = 0.5
"""Most voxels of the first volume by which a corner may be off: a voxel then still covers most of its counterpart."""


def mirrored_axes(grid: Grid, other: Grid) -> tuple[int, ...]:
    """The axes along which another volume of one shape counts the same voxels from the other end, by the affines.

    None of them where it counts them alike, or lies on other voxels.
    """
    affine, of_other = _places(grid, other)
    if affine is None or of_other is None:
        return ()
    relative = np.linalg.inv(affine) @ of_other  # from the other's voxels to those of the first
    axes = tuple(axis for axis in range(3) if relative[axis, axis] < 0)
    turned = np.eye(4)
    for axis in axes:
        turned[axis, axis], turned[axis, 3] = -1, grid.shape[axis] - 1
    corners = _corners(grid)
    return axes if np.abs(_move(relative @ turned, corners) - corners).max() <= TOLERANCE else ()


def misalignment(grid: Grid, other: Grid) -> str | None:
    """What differs between the places of two volumes of one shape, None where every corner agrees within `TOLERANCE`,
    be it that axes run the other way.

    Affines are compared where both files state one, else spacings from the first voxel on; what only one file states,
    or none, tells nothing. The answer continues the name of the other volume: `"lies up to 20 mm away"`.
    """
    affine, of_other = _places(grid, other)
    if affine is None or of_other is None:
        return None
    corners = _corners(grid)
    seen = _move(np.linalg.inv(affine) @ of_other, corners)  # the other's corners, in voxels of the first
    if np.abs(seen - corners).max() <= TOLERANCE or mirrored_axes(grid, other):
        return None
    distances = np.abs(seen[:, None] - corners[None]).max(axis=2)
    if (distances.min(axis=1) <= TOLERANCE).all() and len(set(distances.argmin(axis=1))) == len(corners):
        return "has its axes in another order"
    if not all(isclose(*pair, rel_tol=0.005) for pair in zip(_lengths(affine), _lengths(of_other), strict=True)):
        return f"has voxels of {_size(of_other)} mm, not {_size(affine)} mm"
    away = np.linalg.norm(_move(of_other, corners) - _move(affine, corners), axis=1).max()
    return f"lies up to {away:.3g} mm away"


def _places(grid: Grid, other: Grid) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """From voxels to millimetres in both volumes, None where that is not known of both alike."""
    if grid.affine is not None and other.affine is not None:
        return grid.affine, other.affine
    if grid.spacing is not None and other.spacing is not None:
        return np.diag([*grid.spacing, 1.0]), np.diag([*other.spacing, 1.0])
    return None, None


def _move(affine: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    moved: NDArray[np.float64] = points @ affine[:3, :3].T + affine[:3, 3]
    return moved


def _corners(grid: Grid) -> NDArray[np.float64]:
    """In voxels, of the first and the last one along each axis."""
    return np.array([*product(*((-0.5, count - 0.5) for count in grid.shape))])


def _lengths(affine: NDArray[np.float64]) -> list[float]:
    return [float(length) for length in np.linalg.norm(affine[:3, :3], axis=0)]


def _size(affine: NDArray[np.float64]) -> str:
    return " x ".join(f"{length:.4g}" for length in _lengths(affine))
