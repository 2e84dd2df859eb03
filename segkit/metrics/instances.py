"""How well objects are found pixel by pixel.

A reference and a predicted object of one class are a pair where their intersection over union is at least one half.
Among disjoint objects only exact halves can have several partners, of which the largest number of pairs is taken, as
StarDist and Cellpose do (U. Schmidt et al., Cell Detection with Star-convex Polygons, 2018; C. Stringer et al.,
Cellpose, Nature Methods 18, 2021); panoptic quality asks for more than one half (A. Kirillov et al., Panoptic
Segmentation, 2019, section 4.1) and differs in nothing but such halves.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from segkit.structures import Instances

OVERLAP = 0.5
"""Intersection over union from which two objects are a pair."""

Sums = NDArray[np.float64]


class Pairs(NamedTuple):
    """The objects of one image and of its prediction.

    Attributes:
        partners: (P,) the reference, counted from 0, of every predicted object; -1 for none.
        iou: (P,) intersection over union with it; 0 for none.
        counted: (P,) whether a predicted object counts.
        present: (R,) whether a reference has a pixel that counts.
    """

    partners: NDArray[np.int64]
    iou: NDArray[np.float64]
    counted: NDArray[np.bool_]
    present: NDArray[np.bool_]


def pair_objects(reference: Instances, prediction: Instances) -> Pairs:
    """Pair the objects of one image, a reference with one predicted object of its class at most.

    Pixels that the reference does not count are left out of all objects; a predicted object that has most of its pixels
    there, or none at all, does not count.
    """
    shared = shared_pixels(reference, prediction)
    areas, shown = shared.sum(axis=1)[1:], shared.sum(axis=0)[1:]
    whole = np.bincount(prediction.ids.ravel(), minlength=len(prediction.labels) + 1)[1:]
    inner = shared[1:, 1:].tocoo()
    references, predicted = inner.coords
    iou = inner.data / (areas[references] + shown[predicted] - inner.data)
    is_pair = (iou >= OVERLAP) & (reference.labels[references] == prediction.labels[predicted])
    values = csr_array((iou[is_pair], (references[is_pair], predicted[is_pair])), shape=inner.shape)
    partners = maximum_bipartite_matching(values, perm_type="row").astype(np.int64)
    paired = np.flatnonzero(partners >= 0)
    best = np.zeros(len(partners))
    if len(paired):  # SciPy takes nothing out of a sparse array as a sparse array
        best[paired] = values[partners[paired], paired]
    counted = (partners >= 0) | ((whole > 0) & (2 * shown >= whole))
    return Pairs(partners, best, counted, areas > 0)


def shared_pixels(reference: Instances, prediction: Instances) -> csr_array:
    """(R + 1, P + 1) number of pixels of every pair of ids; those that the reference does not count are left out."""
    counted = reference.ids >= 0
    ids = reference.ids[counted], prediction.ids[counted]
    shape = len(reference.labels) + 1, len(prediction.labels) + 1
    return csr_array(coo_array((np.ones(len(ids[0]), np.int64), ids), shape=shape))


def object_sums(pairs: Pairs, reference: Instances, prediction: Instances, num_classes: int) -> Sums:
    """(4, K) pairs, objects of the reference and predicted objects that count, and sum of the pairs' IoU, per class."""
    found = prediction.labels[pairs.partners >= 0]
    return np.stack(
        [
            np.bincount(found, minlength=num_classes),
            np.bincount(reference.labels[pairs.present], minlength=num_classes),
            np.bincount(prediction.labels[pairs.counted], minlength=num_classes),
            np.bincount(found, pairs.iou[pairs.partners >= 0], minlength=num_classes),
        ]
    ).astype(np.float64)


def precision_at_half(sums: NDArray[Any]) -> Sums:
    """AP@0.5 (...) = TP / (TP + FP + FN) from sums (..., 4); NaN without objects on either side."""
    found, references, predicted, _ = np.moveaxis(sums, -1, 0)
    return _ratio(found, references + predicted - found)


def panoptic_quality(sums: NDArray[Any]) -> tuple[Sums, Sums, Sums]:
    """Panoptic quality (...), and its factors segmentation and recognition quality, from sums (..., 4)."""
    found, references, predicted, iou = np.moveaxis(sums, -1, 0)
    recognition = _ratio(2 * found, references + predicted)
    return _ratio(2 * iou, references + predicted), _ratio(iou, found), recognition


def count_error(sums: NDArray[Any]) -> Sums:
    """|predicted - true| / true (...) from sums (..., 4); NaN without objects in the reference."""
    _, references, predicted, _ = np.moveaxis(sums, -1, 0)
    return _ratio(np.abs(predicted - references), references)


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Sums:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator > 0, np.true_divide(numerator, denominator), np.nan)
