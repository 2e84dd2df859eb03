"""From the probabilities of classes and borders to objects: a watershed that grows from the insides. No torch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.structures import Instances


def grow_objects(
    probabilities: NDArray[np.float32], seed_threshold: float, smallest: int
) -> tuple[Instances, NDArray[np.float32]]:
    """Objects in the probabilities of background, the classes of objects, and border.

    Pixels that are inside an object with more than `seed_threshold` are seeds, one object per connected part. They grow
    over everything that is no background, the surest pixels first (Meyer's flooding, as scikit-image has it).

    Args:
        probabilities: (K + 1, H, W): background, K - 1 classes, border.
        seed_threshold: 0 to 1.
        smallest: objects of fewer pixels are left out.

    Returns:
        The objects, ids in the order of their first pixels from top to bottom, and the score (M,) of each: its mean
        probability of being inside.
    """
    from skimage.segmentation import watershed

    inside = probabilities[1:-1].sum(axis=0)
    _, seeds = cv2.connectedComponents((inside > seed_threshold).astype(np.uint8), connectivity=4)
    foreground = probabilities[0] < 0.5
    grown: NDArray[np.int32] = watershed(-inside, seeds, mask=foreground | (seeds > 0)).astype(np.int32)
    areas = np.bincount(grown.ravel())
    areas[0] = 0
    kept = np.flatnonzero(areas >= max(1, smallest))
    renamed = np.zeros(len(areas), np.int32)
    renamed[kept] = np.arange(1, len(kept) + 1)
    ids = renamed[grown]
    sums = np.stack([_sum_per_object(map_, ids, len(kept)) for map_ in probabilities[1:-1]], axis=1)
    scores = (sums.sum(axis=1) / areas[kept]).astype(np.float32)
    labels = sums.argmax(axis=1).astype(np.int64) + 1
    return Instances(ids, labels), scores


def _sum_per_object(map_: NDArray[np.float32], ids: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    return np.bincount(ids.ravel(), map_.ravel(), count + 1)[1:].astype(np.float64)
