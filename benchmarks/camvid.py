"""Street scenes (CamVid, 11 classes, 480 x 360): test mIoU after some minutes on the 367 training images.

`python -m benchmarks.camvid --minutes 15 --seeds 1`
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks._side_by_side import arguments, compare
from segkit.metrics import RegionScores

# Test mIoU of networks trained for long on GPUs, void not counted, as tabulated by Jégou et al., "The One Hundred
# Layers Tiramisu", 2017, table 1.
PUBLISHED = {"SegNet": 0.464, "FCN-8s": 0.570}


def mean_iou(confusion: NDArray[np.int64]) -> float:
    return RegionScores.from_confusion(confusion).mean_iou


if __name__ == "__main__":
    options = arguments(__doc__, minutes=15, seeds=1)
    compare("camvid", options, {}, mean_iou, "mIoU on 233 test images", vertical_flips=False)
    for network, score in PUBLISHED.items():
        print(f"published, long GPU training: {network} {score:.3f}")
