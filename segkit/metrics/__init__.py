"""Scores over numpy arrays: region overlap, classification, and the intervals around them."""

from segkit.metrics.classification import top_k_correct
from segkit.metrics.intervals import MINIMUM_UNITS, Interval, bootstrap_interval, bootstrap_intervals
from segkit.metrics.region import RegionScores, confusion_matrix

__all__ = [
    "MINIMUM_UNITS",
    "Interval",
    "RegionScores",
    "bootstrap_interval",
    "bootstrap_intervals",
    "confusion_matrix",
    "top_k_correct",
]
