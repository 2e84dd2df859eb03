"""Which detections find which objects, by COCO's rule (Lin et al., Microsoft COCO, 2014; pycocotools' `COCOeval`).

Detections are matched image by image and class by class, the surest first, each to the free object it overlaps most.
What does not count, a crowd or an object of another size, is matched only where nothing else is, and what is matched to
it does not count either; a crowd takes any number of detections.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

FloatArray = NDArray[np.float64]

THRESHOLDS: FloatArray = np.linspace(0.5, 0.95, 10)
"""Overlaps from which an object is found; AP is the mean over them."""

AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
"""Smallest and largest area in square pixels of the objects that count."""

MOST_DETECTIONS = 100
"""Of one class in one image; the surest count."""


class Matches(NamedTuple):
    """The detections of one class in one image, the surest first, for each of the `AREAS` (A) and `THRESHOLDS` (T).

    Attributes:
        scores: (D,).
        hits: (A, T, D) whether it was matched.
        ignored: (A, T, D) whether it does not count.
        objects: (A,) number of objects that count.
    """

    scores: FloatArray
    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    objects: NDArray[np.int64]


def box_overlaps(boxes: NDArray[Any], objects: NDArray[Any], crowd: NDArray[np.bool_]) -> FloatArray:
    """(D, G) intersection over union of boxes (D, 4) and objects (G, 4), of a crowd the share of a box that lies in it.

    Both are left, top, right and bottom.
    """
    if not (len(boxes) and len(objects)):
        return np.zeros((len(boxes), len(objects)))
    return np.asarray(coco_mask.iou(_with_sides(boxes), _with_sides(objects), crowd.astype(np.uint8)), np.float64)


def match(
    overlaps: FloatArray,
    scores: NDArray[Any],
    areas: NDArray[Any],
    object_areas: NDArray[Any],
    crowd: NDArray[np.bool_],
) -> Matches:
    """Match the detections of one class in one image.

    Args:
        overlaps: (D, G) of every detection with every object.
        scores: (D,) of the detections.
        areas: (D,) of the detections in square pixels.
        object_areas: (G,) of the objects.
        crowd: (G,) whether an object does not count.
    """
    order = np.argsort(-scores, kind="stable")[:MOST_DETECTIONS]
    overlaps = overlaps[order]
    left_out = crowd | _of_other_size(object_areas)
    shape = len(AREAS), len(THRESHOLDS)
    free = np.ones((*shape, len(crowd)), np.bool_)
    hits = np.zeros((*shape, len(order)), np.bool_)
    ignored = hits.copy()
    for detection in np.flatnonzero(overlaps.max(axis=1, initial=0) >= THRESHOLDS[0]):
        found, partner = _best(overlaps[detection], free, left_out)
        hits[..., detection] = found
        ignored[..., detection] = found & np.take_along_axis(left_out, partner, axis=1)
        was_free = np.take_along_axis(free, partner[..., None], axis=2)[..., 0]
        np.put_along_axis(free, partner[..., None], ((was_free & ~found) | crowd[partner])[..., None], axis=2)
    ignored |= ~hits & _of_other_size(areas[order])[:, None]
    return Matches(scores[order].astype(np.float64), hits, ignored, np.count_nonzero(~left_out, axis=1))


def partners(overlaps: FloatArray) -> NDArray[np.intp]:
    """(D,) the object each detection is matched with at an overlap of one half, -1 for none; see `match`.

    Args:
        overlaps: (D, G), the surest detection first.
    """
    free = np.ones(overlaps.shape[1], np.bool_)
    found = np.full(len(overlaps), -1, np.intp)
    for detection in np.flatnonzero(overlaps.max(axis=1, initial=0) >= THRESHOLDS[0]):
        overlap = np.where(free, overlaps[detection], 0)
        partner = _last_largest(overlap)
        if overlap[partner] >= THRESHOLDS[0]:
            found[detection], free[partner] = partner, False
    return found


def _best(
    overlap: FloatArray, free: NDArray[np.bool_], left_out: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """(A, T) whether one detection finds an object, and which: those that count go before those that do not."""
    near = free & (overlap >= np.minimum(THRESHOLDS, 1 - 1e-10)[:, None])
    counted = near & ~left_out[:, None]
    allowed = np.where(counted.any(axis=2, keepdims=True), counted, near)
    return np.asarray(allowed.any(axis=2)), _last_largest(np.where(allowed, overlap, -1))


def _last_largest(values: FloatArray) -> NDArray[np.intp]:
    """The place of the largest along the last axis, of equals the last."""
    return np.asarray(values.shape[-1] - 1 - values[..., ::-1].argmax(axis=-1), np.intp)


def _of_other_size(areas: NDArray[Any]) -> NDArray[np.bool_]:
    """(A, N) whether areas (N,) lie outside each of the `AREAS`."""
    smallest, largest = np.array(list(AREAS.values())).T[..., None]
    return np.asarray((areas < smallest) | (areas > largest))


def _with_sides(boxes: NDArray[Any]) -> FloatArray:
    """Left, top, width and height."""
    exact = boxes.astype(np.float64)
    return np.concatenate([exact[:, :2], exact[:, 2:] - exact[:, :2]], axis=1)
