"""What follows from the outputs of a network: objects from scores and maps. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.inference.results import DetectionResult, InstanceResult
from segkit.ops.boxes import BoxArray, centers_inside, clip_boxes, has_area, suppress
from segkit.ops.watershed import grow_objects
from segkit.pipeline import ObjectRule
from segkit.structures import ClassMap

Size = tuple[int, int]

MOST_CANDIDATES = 1000
"""Boxes that go into the suppression, the highest scores; as torchvision's detectors take of each level."""


class Candidates(NamedTuple):
    """Boxes (M, 4) of objects there may be, with class indices (M,) and scores (M,)."""

    corners: BoxArray
    labels: NDArray[np.int64]
    scores: NDArray[np.float32]


def find_candidates(
    logits: NDArray[np.float32], boxes: BoxArray, centerness: NDArray[np.float32], rule: ObjectRule
) -> Candidates:
    """The classes and places of one image that score at least the rule's `least_score`.

    A score is the geometric mean of the probabilities of class and centerness (FCOS, as of its version of 2020).

    Args:
        logits: (A, K).
        boxes: (A, 4).
        centerness: (A,) logits.
        rule: of the pipeline.
    """
    scores = np.sqrt(_sigmoid(logits) * _sigmoid(centerness)[:, None])
    places, labels = np.nonzero(scores >= rule.least_score)
    found = scores[places, labels]
    best = np.argsort(-found, kind="stable")[:MOST_CANDIDATES]
    return Candidates(boxes[places[best]], labels[best].astype(np.int64), found[best].astype(np.float32))


def decide_boxes(
    candidates: Sequence[Candidates], scale: tuple[float, float], size: Size, classes: ClassMap, rule: ObjectRule
) -> DetectionResult:
    """The boxes that stay, of one image or of all its tiles.

    Args:
        candidates: of each tile, in pixels of the image the network saw.
        scale: what x and y are multiplied by to become those of the original image.
        size: (H, W) of the original image; boxes with their middle outside, on mirrored pixels, are left out.
        classes: what the labels mean.
        rule: of the pipeline.
    """
    corners, labels, scores = (np.concatenate(parts) for parts in zip(*candidates, strict=True))
    corners = corners * np.array(scale * 2, np.float32)
    clipped = clip_boxes(corners, size)
    inside = np.flatnonzero(centers_inside(corners, size) & has_area(clipped))
    kept = inside[suppress(clipped[inside], scores[inside], labels[inside], rule.overlap)][: rule.max_detections]
    return DetectionResult(clipped[kept], labels[kept], scores[kept], classes, size)


def decide_instances(probabilities: NDArray[np.float32], classes: ClassMap, rule: ObjectRule) -> InstanceResult:
    """The objects in the probabilities (K + 1, H, W) of the classes and of the border."""
    instances, scores = grow_objects(probabilities, rule.seed_threshold, rule.smallest_object)
    return InstanceResult(instances.ids, instances.labels, scores, classes)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without overflow."""
    shrunk = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, shrunk) / (1 + shrunk), np.float32)
