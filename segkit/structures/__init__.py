"""The nouns of segkit: class map, record, sample, annotation and results. Plain data over numpy, no torch."""

from segkit.structures.annotation import Annotation, Box, MaskFile, ObjectAnnotation, Polygons, Region, RunLengths
from segkit.structures.class_map import IGNORE_INDEX, ClassMap, Color, palette
from segkit.structures.record import PARTS, Progress, Record, Sample, TaskName
from segkit.structures.results import ClassificationResult, SegmentationResult

__all__ = [
    "IGNORE_INDEX",
    "PARTS",
    "Annotation",
    "Box",
    "ClassMap",
    "ClassificationResult",
    "Color",
    "MaskFile",
    "ObjectAnnotation",
    "Polygons",
    "Progress",
    "Record",
    "Region",
    "RunLengths",
    "Sample",
    "SegmentationResult",
    "TaskName",
    "palette",
]
