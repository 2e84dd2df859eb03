"""Which predicted objects find which marked ones by their pixels, by COCO's rule (pycocotools' `segm`).

Pixels are counted once per marked region, in the image of predicted ids: there never is a picture per pair of objects.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from segkit.metrics.detection import MOST_DETECTIONS, FloatArray, Matches, match
from segkit.metrics.instances import shared_pixels
from segkit.structures import IGNORE_INDEX, Instances


class Region(NamedTuple):
    """One marked object, or pixels that do not count.

    Attributes:
        label: its class index; `IGNORE_INDEX` where it stands for objects of every class.
        crowd: whether it does not count.
        pixels: (H, W) where it is.
        area: square pixels by which it is small or large; None: the number of its pixels.
    """

    label: int
    crowd: bool
    pixels: NDArray[np.bool_]
    area: float | None = None


class Overlaps(NamedTuple):
    """The marked regions (R) and predicted objects (P) of one image.

    Attributes:
        labels: (R,) class indices; `IGNORE_INDEX` where a region stands for objects of every class.
        crowd: (R,) whether a region does not count.
        areas: (R,) square pixels by which regions are small or large.
        marked: (R,) number of pixels of each region.
        predicted: (P,) number of pixels of each predicted object.
        shared: (R, P) number of pixels in both.
    """

    labels: NDArray[np.int64]
    crowd: NDArray[np.bool_]
    areas: FloatArray
    marked: NDArray[np.int64]
    predicted: NDArray[np.int64]
    shared: csr_array


def overlaps_of_ids(reference: Instances, prediction: Instances) -> Overlaps:
    """Those of an image of ids, whose objects are disjoint; its `IGNORE_INDEX` is a crowd of every class."""
    ids = np.where(reference.ids < 0, len(reference.labels) + 1, reference.ids)
    labels = np.append(reference.labels, IGNORE_INDEX)
    shared = shared_pixels(Instances(ids, labels), prediction)
    marked, predicted = shared.sum(axis=1)[1:], shared.sum(axis=0)[1:]
    return Overlaps(
        labels, labels == IGNORE_INDEX, marked.astype(np.float64), marked, predicted, csr_array(shared[1:, 1:])
    )


def overlaps_of_regions(regions: Iterable[Region], prediction: Instances) -> Overlaps:
    """Those of regions that may cover one another, as people mark them; one of them is needed at a time."""
    rows: list[tuple[int, bool, float, int]] = []
    entries: list[NDArray[np.int64]] = []
    for region in regions:
        counts = np.bincount(prediction.ids[region.pixels], minlength=len(prediction.labels) + 1)
        pixels, met = int(counts.sum()), np.flatnonzero(counts[1:])
        entries.append(np.stack([np.full(len(met), len(rows)), met, counts[1 + met]]))
        rows.append((region.label, region.crowd, pixels if region.area is None else region.area, pixels))
    labels, crowd, areas, marked = np.array(rows, np.float64).reshape(-1, 4).T
    found, objects, shared = np.concatenate([np.empty((3, 0), np.int64), *entries], axis=1)
    predicted = np.bincount(prediction.ids.ravel(), minlength=len(prediction.labels) + 1)[1:]
    return Overlaps(
        labels.astype(np.int64),
        crowd > 0,
        areas,
        marked.astype(np.int64),
        predicted,
        csr_array(coo_array((shared, (found, objects)), shape=(len(rows), len(predicted)))),
    )


def match_masks(overlaps: Overlaps, labels: NDArray[np.int64], scores: NDArray[np.floating], class_: int) -> Matches:
    """Match the predicted objects of one class in one image; those without a pixel are none.

    Args:
        overlaps: of all objects.
        labels: (P,) class indices of the predicted objects.
        scores: (P,) of the predicted objects.
        class_: the class.
    """
    of_class = np.flatnonzero((labels == class_) & (overlaps.predicted > 0))
    surest = of_class[np.argsort(-scores[of_class], kind="stable")[:MOST_DETECTIONS]]
    rows = np.flatnonzero((overlaps.labels == class_) | (overlaps.labels == IGNORE_INDEX))
    crowd, areas = overlaps.crowd[rows], overlaps.predicted[surest].astype(np.float64)
    shared = overlaps.shared[:, surest][rows].toarray().T.astype(np.float64)
    # Of a crowd it is the share of the object that lies in it.
    union = areas[:, None] + np.where(crowd, 0, overlaps.marked[rows] - shared)
    return match(shared / union, scores[surest], areas, overlaps.areas[rows], crowd)
