"""Several networks used as one model: their class probabilities are averaged, of masks and objects pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import ModelFileError, UsageError
from segkit.inference.decisions import Outputs
from segkit.inference.predictor import Predictor, as_probabilities
from segkit.modelfile import ModelCard
from segkit.ops.sizes import ImageParts
from segkit.structures import PARTS, TaskName

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

_NO_MEAN = "boxes, and masks in boxes, have no mean over networks; name one model of the ensemble"


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
            first.pipeline,
            first.heads,
            _joined(members),
            tuple(notes),
        )
        self.members = tuple(members)

    @classmethod
    def of(cls, members: Sequence[Predictor], source: Path) -> EnsemblePredictor:
        """The ensemble that a file lists; raises `ModelFileError` where its members do not fit together."""
        first = members[0]
        if "detect" in first.heads:
            raise ModelFileError(f"{source} lists several models; {_NO_MEAN}")
        for member in members[1:]:
            differing = [name for name in _SHARED if getattr(member.pipeline, name) != getattr(first.pipeline, name)]
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

    def _outputs(self, stored: NDArray[Any]) -> Outputs:
        """The logarithms of the mean probabilities, which softmax turns back into them."""
        # No member is asked through its own `segment`, which would decide on a class.
        mean = _mean([as_probabilities(member._outputs(stored)) for member in self.members], self.heads)
        with np.errstate(divide="ignore"):  # a class that every member excludes
            return {name: np.log(probabilities) for name, probabilities in mean.items()}

    def _tile_outputs(self, image: ImageParts) -> Callable[[NDArray[Any]], Outputs]:
        outputs_of = [member._tile_outputs(image) for member in self.members]
        return lambda tile: _mean([of_member(tile) for of_member in outputs_of], self.heads)


class _Engines:
    """Stands for the engines of the members, for people; each member runs its own."""

    def __init__(self, count: int, description: str) -> None:
        self.description = f"ensemble of {count} networks, {description}"

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Never called: images are prepared by the member that they are for."""
        raise NotImplementedError


def _mean(outputs: Sequence[Outputs], tasks: Collection[TaskName]) -> Outputs:
    """Of each head's probabilities, one member after the other: their maps stacked would be a copy of them all.

    Raises `UsageError` where the networks give objects one by one.
    """
    if any(task not in outputs[0] for task in tasks):
        raise UsageError(_NO_MEAN)
    totals: dict[str, NDArray[np.float32]] = {task: outputs[0][task].copy() for task in tasks}
    for task, total in totals.items():
        for further in outputs[1:]:
            total += further[task]
        total /= np.float32(len(outputs))
    return totals


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
