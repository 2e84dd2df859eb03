"""What the outputs of a network are called, which way they lie, and the probabilities they mean; see `Engine.run`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segkit.ops.scores import softmax

Outputs = Mapping[str, NDArray[np.float32]]
"""What a network says of one image or tile, without the axis of the batch."""

CLASS_AXES: Mapping[str, int] = {"segment": -3, "instances": -3, "classify": -1}
"""Outputs that are logits of classes, and the axis of the classes, whether there is one of the batch or not."""

SOURCE = "detect/source"
"""Of places of several detectors the number of their own, from 0; only there where they are several."""

OBJECT_AXES: Mapping[str, int] = {
    "detect": -2,
    "detect/boxes": -2,
    "detect/centerness": -1,
    SOURCE: -1,
    "instances/boxes": -2,
    "instances/labels": -1,
    "instances/scores": -1,
    "instances/masks": -3,
}
"""Outputs that are of places or objects, and the axis of these."""

BOXES = ("detect/boxes", "instances/boxes")
"""Outputs in pixels of what the network is given."""

UNBATCHED = "instances/"
"""How outputs begin whose first axis is that of the objects of a single image."""


def entropy_of(name: str) -> str:
    """What the mean entropy is called that the members of an ensemble have in an output of classes."""
    return f"entropy/{name}"


MAPS = ("segment", "instances", entropy_of("segment"), entropy_of("instances"))
"""Outputs whose last two axes are those of what the network is given."""


def as_probabilities(outputs: Outputs) -> Outputs:
    """The same with the logits of classes as their probabilities."""
    return {**outputs, **{name: softmax(outputs[name], axis) for name, axis in CLASS_AXES.items() if name in outputs}}


def as_logits(outputs: Outputs) -> Outputs:
    """The same with logarithms for the probabilities of classes, which softmax turns back into them."""
    with np.errstate(divide="ignore"):  # a class that everyone excludes
        return {**outputs, **{name: np.log(outputs[name]) for name in CLASS_AXES if name in outputs}}
