"""The weight map that makes a network learn the narrow ground between cells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.structures import ClassMap

SIGMA = 5.0
"""Pixels over which the weight falls off, as in the paper."""

REACH = 30
"""Pixels from a cell's box up to which its border is felt: at six times `SIGMA` a weight is 2e-8 of the largest."""

Weights = NDArray[np.float32]
_Window = tuple[slice, slice]


def border_weights(
    mask: NDArray[np.int16], classes: ClassMap, largest: float, objects: NDArray[Any] | None = None
) -> Weights:
    """What the pixels between two cells weigh on top of the weight of their class.

    largest * exp(-(d1 + d2)**2 / (2 * sigma**2)) with sigma 5, where d1 and d2 are the distances to the borders of the
    nearest and the second nearest cell. The border of a cell is those of its pixels that have a neighbour, up, down,
    left or right, that is not its own; the edge of the image makes no border.

    Source: Ronneberger et al. 2015, "U-Net", equation 2 but for its first term, the weight of the class, which the loss
    adds.

    Args:
        mask: (H, W) class indices.
        classes: what they mean; every foreground class has cells.
        largest: w0 of the equation, the weight where two borders meet; the paper's is 10.
        objects: (H, W) number of the object each pixel belongs to; None: the cells are the connected regions of each
            class, diagonal neighbours not being connected.
    """
    nearest = np.full(mask.shape, np.inf, np.float32)
    second = nearest.copy()
    for window, cell in _cells(mask, classes, objects):
        distance = _distance_to_border(cell)
        second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
        nearest[window] = np.minimum(nearest[window], distance)
    return np.float32(largest) * np.exp((nearest + second) ** 2 / np.float32(-2 * SIGMA**2))


def _cells(
    mask: NDArray[np.int16], classes: ClassMap, objects: NDArray[Any] | None
) -> Iterator[tuple[_Window, NDArray[np.bool_]]]:
    """Each cell: the window of the image that feels its border, and which pixels of the window are its own."""
    for index in classes.foreground:
        region = mask == index
        if objects is None:
            labels, _ = ndimage.label(region)
        else:
            labels = np.zeros(mask.shape, np.intp)
            labels[region] = np.unique(objects[region], return_inverse=True)[1] + 1
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            window = _wider(rows), _wider(columns)
            yield window, labels[window] == number


def _wider(side: slice) -> slice:
    return slice(max(side.start - REACH, 0), side.stop + REACH)


def _distance_to_border(cell: NDArray[np.bool_]) -> Weights:
    """Distance of every pixel (H, W) to the nearest border pixel of the cell; infinite where it has no border."""
    border = cell & ~ndimage.binary_erosion(cell, border_value=1)
    if not border.any():
        return np.full(cell.shape, np.inf, np.float32)
    return ndimage.distance_transform_edt(~border).astype(np.float32)
