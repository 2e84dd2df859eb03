"""Evaluate a predictor, or masks written before, on records with known targets: one image in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segkit.data.dataset import load_sample
from segkit.data.image_io import read_mask
from segkit.errors import DataError, UsageError
from segkit.evaluation.classify import ClassificationTally
from segkit.evaluation.examples import Example, choose, draw
from segkit.evaluation.result import Evaluation
from segkit.evaluation.segment import SegmentationTally
from segkit.structures import IGNORE_INDEX, ClassificationResult, ClassMap, Record, Sample, SegmentationResult
from segkit.visualization import thumbnail

__all__ = ["Evaluation", "Predicts", "Progress", "evaluate", "evaluate_masks"]

Progress = Callable[[int, int], None]
"""Called after every image with the number done and the number in all."""


class Predicts(Protocol):
    """What evaluation needs of a predictor."""

    @property
    def task(self) -> Literal["segment", "classify"]:
        """What it predicts."""
        ...

    @property
    def classes(self) -> ClassMap:
        """The classes it knows."""
        ...

    def predict(self, image: NDArray[Any]) -> SegmentationResult | ClassificationResult:
        """Predict one image (H, W, C) of stored values."""
        ...


def evaluate(
    predictor: Predicts,
    records: Sequence[Record],
    classes: ClassMap,
    progress: Progress | None = None,
    quick: bool = False,
) -> Evaluation:
    """Predict every record and score the results.

    Args:
        predictor: runs on one image at a time.
        records: images with masks, or with labels where the predictor classifies.
        classes: what the values in the masks, or the labels, mean; the same classes as the predictor's.
        progress: called after every image.
        quick: for validation during training: no intervals and no pictures.

    Raises:
        DataError: no records, a record without target, or a target that does not fit its image.
        UsageError: the predictor knows other classes.
        UnreadableFileError: a file that cannot be read.
    """
    if predictor.classes.names != classes.names:
        raise UsageError(
            f"the model's classes are {', '.join(predictor.classes.names)}, the data's {', '.join(classes.names)}; "
            "evaluate on data with the model's classes, or name and map them with --classes and --map"
        )
    if predictor.task == "classify":
        return _evaluate_labels(predictor, records, classes, progress, quick)

    def predict(sample: Sample) -> NDArray[np.int16]:
        result = predictor.predict(sample.image)
        assert isinstance(result, SegmentationResult)
        return predictor.classes.ids_to_indices(result.mask)

    return _evaluate_masks(predict, records, classes, progress, quick)


def evaluate_masks(
    folder: str | Path,
    records: Sequence[Record],
    classes: ClassMap,
    progress: Progress | None = None,
    quick: bool = False,
) -> Evaluation:
    """Score masks that were written before: `folder/ID.png` for each record, values are class ids.

    Raises:
        DataError: as `evaluate`, and for a mask with a value that is no class id.
        UnreadableFileError: a mask is missing or cannot be read.
    """

    def read(sample: Sample) -> NDArray[np.int16]:
        path = Path(folder) / f"{sample.record.id}.png"
        indices = classes.ids_to_indices(read_mask(path))
        if (indices == IGNORE_INDEX).any():
            allowed = ", ".join(map(str, classes.ids[:20]))
            raise DataError(f"{path} holds values that are no class id; allowed are {allowed}")
        return indices

    return _evaluate_masks(read, records, classes, progress, quick)


def _evaluate_masks(
    predict: Callable[[Sample], NDArray[np.int16]],
    records: Sequence[Record],
    classes: ClassMap,
    progress: Progress | None,
    quick: bool,
) -> Evaluation:
    tally = SegmentationTally(classes)

    def count(record: Record) -> float:
        _, reference, prediction = _masks(record, classes, predict)
        return tally.add(record, reference, prediction)

    def picture(record: Record) -> tuple[NDArray[np.uint8], str]:
        sample, reference, prediction = _masks(record, classes, predict)
        return draw(sample.image, reference, prediction, classes, record.id), ""

    ranking = _each(records, count, progress)
    examples = () if quick else _examples(records, ranking, picture)
    return _evaluation("segment", tally, examples, quick)


def _evaluate_labels(
    predictor: Predicts, records: Sequence[Record], classes: ClassMap, progress: Progress | None, quick: bool
) -> Evaluation:
    tally = ClassificationTally(classes)

    def count(record: Record) -> float:
        sample = load_sample(record, classes)
        if sample.label is None:
            raise DataError(f"{record.id} has no label; evaluating a classifier needs one per image")
        result = predictor.predict(sample.image)
        assert isinstance(result, ClassificationResult)
        return tally.add(record, sample.label, result)

    def picture(record: Record) -> tuple[NDArray[np.uint8], str]:
        sample = load_sample(record, classes)
        result = predictor.predict(sample.image)
        assert isinstance(result, ClassificationResult)
        return thumbnail(sample.image), f"{record.label}, predicted {result.label}"

    ranking = _each(records, count, progress)
    examples = () if quick else _examples(records, ranking, picture)
    return _evaluation("classify", tally, examples, quick)


def _masks(
    record: Record, classes: ClassMap, predict: Callable[[Sample], NDArray[np.int16]]
) -> tuple[Sample, NDArray[np.int16], NDArray[np.int16]]:
    """The sample, its reference and its predicted mask, both (H, W) class indices."""
    sample = load_sample(record, classes)
    if sample.mask is None:
        raise DataError(f"{record.id} has no mask; evaluation needs one per image")
    prediction = predict(sample)
    if prediction.shape != sample.mask.shape:
        raise DataError(
            f"{record.id}: the predicted mask is {prediction.shape[1]} x {prediction.shape[0]} pixels, the reference "
            f"{sample.mask.shape[1]} x {sample.mask.shape[0]}; predict the image at its own size"
        )
    return sample, sample.mask, prediction


def _each(records: Sequence[Record], count: Callable[[Record], float], progress: Progress | None) -> list[float]:
    """The score of every record by which examples are ranked."""
    if not records:
        raise DataError("there is no image to evaluate on; name another part with --split, or data with that part")
    ranking = []
    for done, record in enumerate(records, start=1):
        ranking.append(count(record))
        if progress is not None:
            progress(done, len(records))
    return ranking


def _examples(
    records: Sequence[Record],
    ranking: Sequence[float],
    picture: Callable[[Record], tuple[NDArray[np.uint8], str]],
) -> tuple[Example, ...]:
    """Predict the chosen few again: cheaper than keeping every image and mask until the ranking is known."""
    examples = []
    for rank, position, index in choose(ranking):
        drawn, caption = picture(records[index])
        examples.append(Example(rank, position, records[index].id, ranking[index], caption, drawn))
    return tuple(examples)


def _evaluation(
    task: Literal["segment", "classify"],
    tally: SegmentationTally | ClassificationTally,
    examples: tuple[Example, ...],
    quick: bool,
) -> Evaluation:
    scores = tally.scores(quick) | {"examples": [example.to_json() for example in examples]}
    return Evaluation(task, tally.classes, scores, tally.rows(), tally.confusion, examples)
