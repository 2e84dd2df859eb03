"""The rule by which a trained network's outputs become objects, chosen on the validation part."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from segkit.data.samples import load_targets
from segkit.evaluation.detect import DetectionTally
from segkit.evaluation.instances import InstanceTally
from segkit.inference.engines._base import Engine
from segkit.inference.predictor import Predictor
from segkit.ops.words import counted
from segkit.pipeline import ObjectRule
from segkit.structures import Record

SMALLEST_SEEDS = (1, 4, 8, 16, 32, 64)
SEED_THRESHOLDS = (0.5, 0.4, 0.6, 0.7, 0.8)
THRESHOLDS = (0.5, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
"""What is tried, the usual value first: it stays where nothing is better."""

MOST_IMAGES = 20
"""Validation images, evenly chosen, from which objects are drawn by every rule."""


Choice = tuple[ObjectRule, str]
"""A rule, and a line about it for people."""


def choose_box_rule(predictor: Predictor, rule: ObjectRule, records: Iterable[Record]) -> Choice:
    """The rule that shows boxes from the score with the best F1; as it was where no box is right."""
    tally = DetectionTally(predictor.heads["detect"], threshold=0.0)
    for record in records:
        sample = load_targets(record, {"detect": tally.classes})
        if sample.boxes is not None:
            tally.add(sample, predictor.detect(sample.image))
    found = tally.best_threshold()
    threshold = rule.threshold if found is None else round(found, 3)
    told = f"boxes are shown from a score of {threshold:g}: "
    told += "no box is right on the validation images" if found is None else "the best F1 on the validation images"
    return rule.model_copy(update={"threshold": threshold}), told


def choose_instance_rule(predictor: Predictor, rule: ObjectRule, records: Sequence[Record], grown: bool) -> Choice:
    """The rule with the best AP@0.5: what starts an object that is grown, or the score from which masks are shown.

    Args:
        predictor: of a network with the head `instances`.
        rule: what else is given of objects.
        records: of the validation part.
        grown: whether objects grow from maps; else the network gives a mask of each.
    """
    chosen = records[:: max(1, len(records) // MOST_IMAGES)]
    if not grown:
        rule = _best(predictor, chosen, [rule.model_copy(update={"threshold": value}) for value in THRESHOLDS])
        return rule, f"objects are shown from a score of {rule.threshold:g}: the best AP@0.5 on the validation images"
    rule = _best(predictor, chosen, [rule.model_copy(update={"smallest_seed": value}) for value in SMALLEST_SEEDS])
    rule = _best(predictor, chosen, [rule.model_copy(update={"seed_threshold": value}) for value in SEED_THRESHOLDS])
    return rule, (
        f"objects start where {counted(rule.smallest_seed, 'pixel')} or more are inside with a probability above "
        f"{rule.seed_threshold:g}: the best AP@0.5 on the validation images"
    )


def _best(predictor: Predictor, records: Iterable[Record], rules: Sequence[ObjectRule]) -> ObjectRule:
    """The first of the rules that no other is better than."""
    return rules[int(np.argmax(_scores(predictor, records, rules)))]


def _scores(predictor: Predictor, records: Iterable[Record], rules: Sequence[ObjectRule]) -> NDArray[np.float64]:
    """The mean AP@0.5 over images by every rule; the network computes each image once."""
    engine = _Remembering(predictor.engine)
    predictors = [
        Predictor(engine, predictor.pipeline.model_copy(update={"objects": rule}), predictor.heads) for rule in rules
    ]
    tally = InstanceTally(predictor.heads["instances"], coco=False)
    found: list[list[float]] = []
    for record in records:
        sample = load_targets(record, {"instances": tally.classes})
        if sample.instances is None:
            continue
        engine.forget()
        found.append([])
        for one in predictors:
            engine.rewind()
            found[-1].append(tally.add(sample, one.instances(sample.image)))
    counted = [of_image for of_image in found if not np.isnan(of_image).all()]
    return np.nan_to_num(counted, nan=1.0).mean(axis=0) if counted else np.zeros(len(rules))


class _Remembering:
    """An engine that computes what it has not computed since `forget`, and from `rewind` on gives the same again."""

    def __init__(self, engine: Engine) -> None:
        self.description = engine.description
        self._engine = engine
        self._known: list[dict[str, NDArray[np.float32]]] = []
        self._next = 0

    def forget(self) -> None:
        """Another image follows."""
        self._known.clear()

    def rewind(self) -> None:
        """The same image follows again."""
        self._next = 0

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """What the engine gives for these images, or gave for those in their place."""
        if self._next == len(self._known):
            self._known.append(self._engine.run(images))
        self._next += 1
        return self._known[self._next - 1]
