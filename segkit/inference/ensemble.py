"""Several networks used as one model: the mean of their class probabilities, and their boxes fused (`mean`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import ModelFileError
from segkit.inference.mean import mean_of
from segkit.inference.outputs import Outputs, as_logits, as_probabilities
from segkit.inference.predictor import Predictor
from segkit.modelfile import ModelCard
from segkit.ops.sizes import ImageParts
from segkit.pipeline import ObjectRule
from segkit.structures import PARTS

_SHARED = (
    "channels",
    "convert",
    "axis",
    "stride_multiple",
    "stride_remainder",
    "margin",
    "tile",
    "overlap",
    "whole_limit",
)
"""What the pipelines must agree on for tiles to be the same; normalization is each network's own."""

_SEEN = ("size", "keep_proportions", "center_crop")
"""And for what is found in the image to lie in the same place."""

_CHOSEN = ("threshold", "seed_threshold", "smallest_seed")
"""Of the rule for objects, what each network has from its own validation part; together they take the mean."""


class EnsemblePredictor(Predictor):
    """Predicts as its members together; each prepares the image in its own way.

    `of` makes one and checks that the members fit together.

    Args:
        members: predictors of equal task, classes and size rules, at least one.
    """

    def __init__(self, members: Sequence[Predictor]) -> None:
        first = members[0]
        notes = dict.fromkeys(note for member in members for note in member.notes)
        super().__init__(
            _Engines(len(members), first.engine.description),
            # A temperature is that of one network; the mean of several is less sure than each of them.
            first.pipeline.model_copy(update={"temperatures": {}, "objects": _mean_rule(members)}),
            first.heads,
            _joined(members),
            tuple(notes),
        )
        self.members = tuple(members)

    @classmethod
    def of(cls, members: Sequence[Predictor], source: str | Path) -> EnsemblePredictor:
        """The ensemble that `source` lists; raises `ModelFileError` where its members do not fit together."""
        first = members[0]
        shared = _SHARED if first.heads.keys() == {"classify"} else (*_SHARED, *_SEEN)
        for member in members[1:]:
            differing = [name for name in shared if getattr(member.pipeline, name) != getattr(first.pipeline, name)]
            if _given(member.pipeline.objects) != _given(first.pipeline.objects):
                differing.append("objects")
            if member.heads.keys() != first.heads.keys():
                differing.append("task")
            elif any(classes.to_dict() != first.heads[task].to_dict() for task, classes in member.heads.items()):
                differing.append("classes")
            if differing:
                raise ModelFileError(
                    f"the models that {source} lists differ in {', '.join(differing)}; an ensemble is of networks "
                    "trained alike"
                )
        return cls(members)

    @property
    def maps_at_once(self) -> int:
        """The maps of every member are kept until their mean is taken."""
        return super().maps_at_once + len(self.members)

    def _outputs(self, stored: NDArray[Any]) -> Outputs:
        """The logarithms of the mean probabilities, which softmax turns back into them."""
        # No member is asked through its own `segment`, which would decide on a class.
        return as_logits(mean_of([as_probabilities(member._outputs(stored)) for member in self.members]))

    def _tile_outputs(self, image: ImageParts) -> Callable[[NDArray[Any]], Outputs]:
        outputs_of = [member._tile_outputs(image) for member in self.members]
        return lambda tile: mean_of([of_member(tile) for of_member in outputs_of])


class _Engines:
    """Stands for the engines of the members, for people; each member runs its own."""

    def __init__(self, count: int, description: str) -> None:
        self.description = f"ensemble of {count} networks, {description}"

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Never called: images are prepared by the member that they are for."""
        raise NotImplementedError


def _given(rule: ObjectRule) -> dict[str, Any]:
    """What is no choice of a network's own."""
    return rule.model_dump(exclude=set(_CHOSEN))


def _mean_rule(members: Sequence[Predictor]) -> ObjectRule:
    rules = [member.pipeline.objects for member in members]
    means = {name: fmean(getattr(rule, name) for rule in rules) for name in _CHOSEN}
    return rules[0].model_copy(update={**means, "smallest_seed": round(means["smallest_seed"])})


def _joined(members: Sequence[Predictor]) -> ModelCard | None:
    """The first member's card, which knows the images of all: what one of them was trained on, all were."""
    cards = [member.card for member in members if member.card is not None]
    if len(cards) < len(members):
        return None
    hashes = {
        part: list(dict.fromkeys(image for card in cards for image in card.data.get("hashes", {}).get(part, ())))
        for part in PARTS
    }
    return cards[0].model_copy(update={"data": {**cards[0].data, "hashes": hashes}, "scores": {}})
