"""From the outputs of a network to what it says of an image: one file per head. No torch."""

from collections.abc import Mapping

from segkit.inference.decisions._base import Decision, Request
from segkit.inference.decisions.classify import ClassifyDecision
from segkit.inference.decisions.detect import DetectDecision
from segkit.inference.decisions.instances import InstancesDecision
from segkit.inference.decisions.segment import SegmentDecision
from segkit.inference.outputs import Outputs
from segkit.structures import TaskName

__all__ = ["DECISIONS", "Decision", "Outputs", "Request"]

DECISIONS: Mapping[TaskName, type[Decision]] = {
    "segment": SegmentDecision,
    "instances": InstancesDecision,
    "detect": DetectDecision,
    "classify": ClassifyDecision,
}
"""What decides for each head."""
