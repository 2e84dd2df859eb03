"""The nouns of segkit: class map, record, sample, annotation and objects. Plain data over numpy, no torch."""

from segkit.structures.annotation import Annotation, Box, MaskFile, ObjectAnnotation, Polygons, Region, RunLengths
from segkit.structures.class_map import IGNORE_INDEX, ClassMap, Color, palette
from segkit.structures.objects import Boxes, Instances
from segkit.structures.record import MASKED, PARTS, TASKS, Progress, Record, Sample, TaskName

__all__ = [
    "IGNORE_INDEX",
    "MASKED",
    "PARTS",
    "TASKS",
    "Annotation",
    "Box",
    "Boxes",
    "ClassMap",
    "Color",
    "Instances",
    "MaskFile",
    "ObjectAnnotation",
    "Polygons",
    "Progress",
    "Record",
    "Region",
    "RunLengths",
    "Sample",
    "TaskName",
    "palette",
]
