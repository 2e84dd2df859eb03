"""What a loss means for each head of a model: `SegmentTask` and `ClassifyTask`."""

from segkit.tasks._base import Task
from segkit.tasks.classify import ClassifyTask
from segkit.tasks.segment import SegmentTask

__all__ = ["ClassifyTask", "SegmentTask", "Task"]
