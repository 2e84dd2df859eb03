"""What several networks, or one network in several views, say of one image: the mean of probabilities, all the boxes.

Probabilities are averaged, not logits, which one network may give in another scale than the next. Boxes have no mean
before it is known which of them are of one object: they come together, each with the number of its `SOURCE`, and the
decision fuses them (`segkit.ops.fusion`). Masks in boxes come together too, and the surer of those that overlap stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.inference.outputs import CLASS_AXES, OBJECT_AXES, SOURCE, Outputs, entropy_of
from segkit.ops.scores import entropy


def mean_of(outputs: Sequence[Outputs]) -> Outputs:
    """The outputs, probabilities in the place of logits of classes, as those of one network.

    Besides, of each output of classes that there is, `entropy_of` it is the mean entropy of the members, with an axis
    of length 1 for the classes: how unsure they are each on its own.
    """
    found: dict[str, NDArray[np.float32]] = {}
    for name, axis in CLASS_AXES.items():
        if name in outputs[0]:
            found[name] = _mean([each[name] for each in outputs])
            found[entropy_of(name)] = _mean([_own_entropy(each, name, axis) for each in outputs])
    numbered = _numbered(outputs) if "detect" in outputs[0] else outputs
    for name, axis in OBJECT_AXES.items():
        if name in numbered[0]:
            found[name] = np.concatenate([each[name] for each in numbered], axis)
    return found


def _own_entropy(outputs: Outputs, name: str, axis: int) -> NDArray[np.float32]:
    """Of one member, which may itself be several."""
    own = outputs.get(entropy_of(name))
    return entropy(outputs[name], axis) if own is None else own


def _mean(values: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One after the other: stacked they would be a copy of them all."""
    total = values[0].copy()
    for further in values[1:]:
        total += further
    total /= np.float32(len(values))
    return total


def _numbered(outputs: Sequence[Outputs]) -> list[Outputs]:
    """The outputs with the number of the detector that each place belongs to."""
    numbered: list[Outputs] = []
    first = 0
    for each in outputs:
        own = each.get(SOURCE)
        source = np.zeros_like(each["detect/centerness"]) if own is None else own
        numbered.append({**each, SOURCE: source + np.float32(first)})
        first += int(source.max(initial=0)) + 1
    return numbered
