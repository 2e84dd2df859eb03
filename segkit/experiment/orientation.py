"""Whether the images of a data set have an up and a down."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.structures import IGNORE_INDEX, ClassMap, Sample

IMAGES = 32
"""Masks looked at; more would not change the answer."""


def class_map_of(sample: Sample) -> NDArray[np.int16] | None:
    """The class at each pixel (H, W): of the mask, else of the objects or of their boxes; None without any."""
    if sample.mask is not None:
        return sample.mask
    if sample.instances is not None:
        classes = np.concatenate([[0], sample.instances.labels, [IGNORE_INDEX]])
        return classes[sample.instances.ids].astype(np.int16)
    if sample.boxes is None:
        return None
    painted = np.full(sample.image.shape[:2], IGNORE_INDEX, np.int16)
    for (left, top, right, bottom), label in zip(
        sample.boxes.corners.round().astype(int), sample.boxes.labels, strict=True
    ):
        painted[top:bottom, left:right] = label
    return painted


def has_up(masks: Sequence[NDArray[np.int16]], classes: ClassMap) -> bool:
    """Whether some class keeps to the upper or the lower half of the masks (H, W) of class indices.

    Streets have the sky above, X-rays the diaphragm below; cells and aerial images look the same upside down. A class
    speaks for an up when, over the images that hold it, the share of its pixels in the upper half is on average more
    than 0.1 away from one half and more than four standard errors: a chance result in about one of 10,000 data sets.
    """
    return any(
        _keeps_to_one_half([_upper_share(mask == index) for mask in masks if (mask == index).any()])
        for index in range(classes.num_classes)
    )


def _upper_share(where: NDArray[np.bool_]) -> float:
    half = where.shape[0] // 2
    above, below = where[:half].sum(), where[where.shape[0] - half :].sum()
    return float(above / (above + below)) if above + below else 0.5


def _keeps_to_one_half(shares: Sequence[float]) -> bool:
    if len(shares) < 3:
        return False
    distance = abs(float(np.mean(shares)) - 0.5)
    standard_error = float(np.std(shares, ddof=1)) / len(shares) ** 0.5
    return distance > 0.1 and distance > 4 * standard_error
