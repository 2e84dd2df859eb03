"""From the probabilities of insides and borders to objects: a watershed that grows from the insides. No torch."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.ops.numbering import in_reading_order
from segkit.structures import Instances


def grow_objects(
    probabilities: NDArray[np.float32], seed_threshold: float, smallest_seed: int, smallest: int
) -> tuple[Instances, NDArray[np.float32]]:
    """The objects in maps of background, insides and borders.

    Each connected part (4 neighbours) that is inside with more than `seed_threshold` is a seed, unless it is too small:
    specks of insides would cut objects in pieces. Seeds grow over what is rather something than background, the surest
    insides first, until they meet: Meyer's flooding, as scikit-image has it (Beucher and Meyer, The morphological
    approach to segmentation, 1993).

    Args:
        probabilities: (K + 1, H, W), of the background, the K - 1 classes of objects, and the border.
        seed_threshold: 0 to 1.
        smallest_seed: parts of fewer pixels are no seeds.
        smallest: objects of fewer pixels are left out.

    Returns:
        The objects, ids in reading order, each of the class it has most of in sum; and the score (M,) of each, its mean
        probability of being inside.
    """
    from skimage.segmentation import watershed

    insides = probabilities[1:-1]
    inside = insides.sum(axis=0)
    seeded = inside > seed_threshold
    count, seeds, statistics, _ = cv2.connectedComponentsWithStats(seeded.astype(np.uint8), connectivity=4)
    is_seed = statistics[:, cv2.CC_STAT_AREA] >= smallest_seed
    seeds *= is_seed[seeds]
    grown = watershed(-inside, seeds, mask=seeded | (probabilities[0] < 0.5)).astype(np.int32)  # type: ignore[no-untyped-call]
    ids, _ = in_reading_order(grown, count - 1, smallest)
    areas = np.bincount(ids.ravel())[1:]
    sums = np.array([np.bincount(ids.ravel(), map_.ravel())[1:] for map_ in insides])
    scores = (sums.sum(axis=0) / areas).astype(np.float32)
    return Instances(ids, sums.argmax(axis=0).astype(np.int64) + 1), scores
