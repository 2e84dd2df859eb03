"""Average precision and recall over a data set, by COCO's rule, and the same over resampled data sets.

AP is no sum over images: detections of all images are ranked together. They are ranked once; a resampled data set only
counts each image, and so its detections and objects, another number of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.metrics.detection import AREAS, THRESHOLDS, FloatArray, Matches

RECALLS: FloatArray = np.linspace(0, 1, 101)
"""Where precision is read off; below one of them the highest precision at that recall or more holds."""

_NUMBERS_AT_ONCE = 2_000_000


class Ranking(NamedTuple):
    """The detections of one class in all images, the surest first, for `AREAS` (A) and `THRESHOLDS` (T).

    Attributes:
        scores: (D,).
        images: (D,) the image each lies in.
        right: (A, T, D) whether it finds an object that counts.
        counted: (A, T, D) whether it counts.
        objects: (N, A) number of objects in each image.
    """

    scores: FloatArray
    images: NDArray[np.intp]
    right: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    objects: NDArray[np.int64]


def rank(matches: Sequence[Matches]) -> Ranking:
    """Rank the detections of one class; `matches` has one entry per image."""
    scores = np.concatenate([found.scores for found in matches])
    order = np.argsort(-scores, kind="stable")
    images = np.repeat(np.arange(len(matches)), [len(found.scores) for found in matches])
    counted = ~np.concatenate([found.ignored for found in matches], axis=2)[..., order]
    hits = np.concatenate([found.hits for found in matches], axis=2)[..., order]
    return Ranking(scores[order], images[order], hits & counted, counted, np.stack([m.objects for m in matches]))


def average_precisions(ranking: Ranking, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average precision (R, A, T) and highest recall (R, A, T) of data sets; NaN where one has no object.

    Args:
        ranking: of one class.
        weights: (R, N) how often each data set holds each image; ones for the data set itself.
    """
    shape = len(weights), len(AREAS), len(THRESHOLDS)
    precisions, recalls = np.full(shape, np.nan), np.full(shape, np.nan)
    at_once = max(1, _NUMBERS_AT_ONCE // max(1, len(ranking.scores)))
    for start in range(0, len(weights), at_once):
        block = slice(start, start + at_once)
        for area in range(len(AREAS)):
            objects = weights[block] @ ranking.objects[:, area]
            if not objects.any():
                continue
            for threshold in range(len(THRESHOLDS)):
                precision, recall = _at_hits(ranking, area, threshold, weights[block], objects)
                # How many of the recalls each hit is the first to reach; all of them take the precision it stands for.
                reached = np.diff(np.searchsorted(RECALLS, recall, side="right"), axis=0, prepend=0)
                precisions[block, area, threshold] = (precision * reached).sum(axis=0) / len(RECALLS)
                recalls[block, area, threshold] = recall.max(axis=0, initial=0)
            precisions[block, area][objects == 0] = np.nan
            recalls[block, area][objects == 0] = np.nan
    return precisions, recalls


class Curve(NamedTuple):
    """Precision over recall at an overlap of one half.

    Attributes:
        precision: (101,) the highest at each of the `RECALLS` or more; 0 where it is never reached.
        scores: (101,) the score from which detections reach each of the `RECALLS`; NaN where they never do.
    """

    precision: FloatArray
    scores: FloatArray


def precision_curve(ranking: Ranking) -> Curve | None:
    """The curve of one class; None without objects."""
    everything = np.ones((1, len(ranking.objects)))
    objects = everything @ ranking.objects[:, 0]
    if not objects.any():
        return None
    precision, recall = (found[:, 0] for found in _at_hits(ranking, 0, 0, everything, objects))
    scores = ranking.scores[ranking.right[0, 0]]
    reached = np.searchsorted(recall, RECALLS, side="left")
    return Curve(np.append(precision, 0)[reached], np.append(scores, np.nan)[reached])


def at_threshold(ranking: Ranking, threshold: float) -> tuple[float, float]:
    """Recall and precision of the detections from a score on at an overlap of one half; NaN where there are none."""
    shown = ranking.counted[0, 0] & (ranking.scores >= threshold)
    right, objects = int((ranking.right[0, 0] & shown).sum()), int(ranking.objects[:, 0].sum())
    of_shown = int(shown.sum())
    return right / objects if objects else float("nan"), right / of_shown if of_shown else float("nan")


def best_threshold(matches: Sequence[Matches]) -> float | None:
    """The score from which detections have the highest F1 at an overlap of one half; None where none is right.

    Args:
        matches: of all classes and images.
    """
    ranking = rank(matches)
    counted = ranking.counted[0, 0]
    scores, right = ranking.scores[counted], ranking.right[0, 0, counted]
    if not right.any():
        return None
    f1 = 2 * np.cumsum(right) / (np.arange(1, len(right) + 1) + ranking.objects[:, 0].sum())
    f1[:-1][scores[:-1] == scores[1:]] = 0  # a threshold takes all of one score
    return float(scores[f1.argmax()])


def _at_hits(
    ranking: Ranking, area: int, threshold: int, weights: FloatArray, objects: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Precision (H, R), the highest from there on, and recall (H, R) at each right detection.

    Between them recall stays and precision falls, so that no others are needed.
    """
    counted = ranking.counted[area, threshold]
    images, hits = ranking.images[counted], np.flatnonzero(ranking.right[area, threshold, counted])
    of_detections = weights.T[images]
    shown = np.cumsum(of_detections, axis=0)[hits]
    found = np.cumsum(of_detections[hits], axis=0)
    precision = found / (shown + np.spacing(1))
    recall = found / np.maximum(objects, 1)
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1], recall
