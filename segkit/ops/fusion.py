"""Boxes of several detectors, or of one that looked several times, joined into one set.

Weighted boxes fusion: Solovyev, Wang and Gabruseva, "Weighted boxes fusion: Ensembling boxes from different object
detection models", Image and Vision Computing 2021, section 3. Suppression keeps the surest of the boxes of an object
and throws away what the others say of it; here all of them are averaged, and one that few detectors see loses score.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.ops.boxes import BoxArray, box_iou

OVERLAP = 0.55
"""Intersection over union above which two boxes are of one object (section 4.3)."""

BoxSet = tuple[BoxArray, NDArray[np.int64], NDArray[np.float32]]
"""What one detector finds: boxes (M, 4), class indices (M,) and scores (M,)."""


def fuse_boxes(found: Sequence[BoxSet], overlap: float = OVERLAP) -> BoxSet:
    """The boxes of all sets, those of one object and class fused, the surest first.

    A fused box is the mean of its boxes weighted by their scores; its score is their mean, times the share of the
    detectors that found it (equations 1 to 5; of the two forms of the last step that with the minimum).
    """
    boxes, labels, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    parts = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        of_class = of_class[np.argsort(-scores[of_class], kind="stable")]
        fused, sureness = _fuse_class(boxes[of_class], scores[of_class], len(found), overlap)
        parts.append((fused, np.full(len(fused), label), sureness))
    if not parts:
        return boxes, labels, scores
    boxes, labels, scores = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="stable")
    return boxes[order], labels[order], scores[order]


def _fuse_class(
    boxes: BoxArray, scores: NDArray[np.float32], detectors: int, overlap: float
) -> tuple[BoxArray, NDArray[np.float32]]:
    """Boxes (M, 4) of one class, the surest first, to clusters: each goes to the fused box that it overlaps most."""
    fused = np.zeros(boxes.shape, np.float32)
    sums, counts = np.zeros(boxes.shape, np.float64), np.zeros((len(boxes), 2), np.float64)
    clusters = 0
    for box, score in zip(boxes.astype(np.float64), scores.astype(np.float64), strict=True):
        overlaps = box_iou(box[None].astype(np.float32), fused[:clusters])[0]
        cluster = int(overlaps.argmax()) if clusters and overlaps.max() > overlap else clusters
        clusters = max(clusters, cluster + 1)
        sums[cluster] += score * box
        counts[cluster] += score, 1
        fused[cluster] = sums[cluster] / counts[cluster, 0] if score > 0 else box
    score_sums, sizes = counts[:clusters].T
    return fused[:clusters], (score_sums / sizes * np.minimum(sizes, detectors) / detectors).astype(np.float32)
