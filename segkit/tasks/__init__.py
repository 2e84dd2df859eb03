"""What a loss means for each head of a model, and for several heads together."""

from segkit.tasks._base import Task
from segkit.tasks.classify import ClassifyTask
from segkit.tasks.combined import CombinedTask
from segkit.tasks.detect import DetectTask
from segkit.tasks.maskrcnn import MaskRcnnTask
from segkit.tasks.pixels import PixelTask

__all__ = ["ClassifyTask", "CombinedTask", "DetectTask", "MaskRcnnTask", "PixelTask", "Task"]
