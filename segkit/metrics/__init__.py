"""Scores over numpy arrays: region overlap, outlines, classification, and the intervals around them."""

from segkit.metrics.boundary import BoundaryScores, boundary_scores
from segkit.metrics.classification import top_k_correct
from segkit.metrics.intervals import (
    MINIMUM_UNITS,
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    weighted_intervals,
)
from segkit.metrics.permutation import sign_flip_p
from segkit.metrics.region import RegionScores, confusion_matrix

__all__ = [
    "MINIMUM_UNITS",
    "BoundaryScores",
    "Interval",
    "RegionScores",
    "bootstrap_interval",
    "bootstrap_intervals",
    "boundary_scores",
    "confusion_matrix",
    "sign_flip_p",
    "top_k_correct",
    "weighted_intervals",
]
