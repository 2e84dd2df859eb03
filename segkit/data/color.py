"""The principal axes of the colours of a training set, along which the `alexnet` augmentation shifts them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import read_image
from segkit.pipeline import Pipeline
from segkit.structures import Record

MEASURED_IMAGES = 500
"""Most images measured, evenly spread over larger sets: the covariance of colours is settled long before."""


def color_axes(records: Sequence[Record], pipeline: Pipeline) -> NDArray[np.float32]:
    """Principal axes of the RGB values of all pixels, each as long as its eigenvalue.

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks, 2012, section 4.1. The
    eigenvalues are those of the covariance of unit values (0 to 1), on which the shifts are added.

    Args:
        records: the training images; above `MEASURED_IMAGES` at most that many, evenly spread.
        pipeline: gives the unit values, three channels.

    Returns:
        (3, 3), column i is the i-th eigenvector times its eigenvalue, largest first.
    """
    step = max(1, -(-len(records) // MEASURED_IMAGES))
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    for record in records[::step]:
        pixels = pipeline.to_unit(read_image(record.image)).reshape(-1, 3).astype(np.float64)
        count += len(pixels)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
    mean = total / count
    values, vectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    axes: NDArray[np.float32] = (vectors * values)[:, ::-1].astype(np.float32)
    return axes
