"""Evaluate a predictor, or masks written before, on records with known targets: one image in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import read_mask
from segkit.data.samples import load_sample
from segkit.errors import DataError, UsageError
from segkit.evaluation.classify import ClassificationTally
from segkit.evaluation.examples import Example, choose
from segkit.evaluation.result import Evaluation
from segkit.evaluation.segment import SegmentationTally
from segkit.inference.results import ClassificationResult, CombinedResult, Result, SegmentationResult
from segkit.metrics.boundary import DEFAULT_TOLERANCE
from segkit.structures import IGNORE_INDEX, ClassMap, Record, Sample, TaskName

__all__ = ["Evaluation", "Predicts", "Progress", "evaluate", "evaluate_folds", "evaluate_masks"]

Progress = Callable[[int, int], None]
"""Called after every image with the number done and the number in all."""

_Prediction = TypeVar("_Prediction")
_Counted = TypeVar("_Counted", contravariant=True)


class Predicts(Protocol):
    """What evaluation needs of a predictor."""

    @property
    def task(self) -> TaskName:
        """What it predicts."""
        ...

    @property
    def classes(self) -> ClassMap:
        """The classes it knows."""
        ...

    def predict(self, image: NDArray[Any]) -> Result | CombinedResult:
        """Predict one image (H, W, C) of stored values."""
        ...


def evaluate(
    predictor: Predicts,
    records: Sequence[Record],
    classes: ClassMap,
    progress: Progress | None = None,
    quick: bool = False,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Evaluation:
    """Predict every record and score the results.

    Args:
        predictor: runs on one image at a time.
        records: images with masks, or with labels where the predictor classifies.
        classes: what the values in the masks, or the labels, mean; the same classes as the predictor's.
        progress: called after every image.
        quick: for validation during training: no intervals, no distances of outlines and no pictures.
        tolerance: of the normalized surface distance, in mm where the images state their spacing, else in pixels.

    Raises:
        DataError: no records, a record without target, or a target that does not fit its image.
        UsageError: the predictor knows other classes.
        UnreadableFileError: a file that cannot be read.
    """
    _require_classes(predictor, classes)
    return _predict_and_score(predictor.task, lambda _: predictor, records, classes, progress, quick, tolerance)


def evaluate_folds(
    predictors: Sequence[Predicts],
    folds: Sequence[Sequence[Record]],
    classes: ClassMap,
    progress: Progress | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Evaluation:
    """Predict the records of each fold with its own predictor, and score all of them together.

    Args and errors as of `evaluate`; `predictors` and `folds` have one entry per fold, and no record is in two.
    """
    for predictor in predictors:
        _require_classes(predictor, classes)
    predictor_of: Mapping[str, Predicts] = {
        record.id: predictor for predictor, fold in zip(predictors, folds, strict=True) for record in fold
    }
    records = [record for fold in folds for record in fold]
    task = predictors[0].task
    return _predict_and_score(task, lambda id_: predictor_of[id_], records, classes, progress, False, tolerance)


def _require_classes(predictor: Predicts, classes: ClassMap) -> None:
    if predictor.classes.names != classes.names:
        raise UsageError(
            f"the model's classes are {', '.join(predictor.classes.names)}, the data's {', '.join(classes.names)}; "
            "evaluate on data with the model's classes, or name and map them with --classes and --map"
        )


def _predict_and_score(
    task: TaskName,
    predictor_of: Callable[[str], Predicts],
    records: Sequence[Record],
    classes: ClassMap,
    progress: Progress | None,
    quick: bool,
    tolerance: float,
) -> Evaluation:
    """Score the predictions of the predictor that belongs to a record's id."""

    def mask(sample: Sample) -> NDArray[np.int16]:
        predictor = predictor_of(sample.record.id)
        result = predictor.predict(sample.image)
        assert isinstance(result, SegmentationResult)
        return predictor.classes.ids_to_indices(result.mask)

    def probabilities(sample: Sample) -> ClassificationResult:
        result = predictor_of(sample.record.id).predict(sample.image)
        assert isinstance(result, ClassificationResult)
        return result

    if task == "classify":
        return _evaluate(ClassificationTally(classes), probabilities, records, progress, quick)
    return _evaluate(_segmentation(classes, quick, tolerance), mask, records, progress, quick)


def _segmentation(classes: ClassMap, quick: bool, tolerance: float) -> SegmentationTally:
    return SegmentationTally(classes, None if quick else tolerance)


def evaluate_masks(
    folder: str | Path,
    records: Sequence[Record],
    classes: ClassMap,
    progress: Progress | None = None,
    quick: bool = False,
    tolerance: float = DEFAULT_TOLERANCE,
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

    return _evaluate(_segmentation(classes, quick, tolerance), read, records, progress, quick)


class _Tally(Protocol[_Counted]):
    """Counts one prediction after the other, and scores them all."""

    @property
    def task(self) -> Literal["segment", "classify"]: ...

    @property
    def classes(self) -> ClassMap: ...

    @property
    def confusion(self) -> NDArray[np.int64]: ...

    def add(self, sample: Sample, prediction: _Counted) -> float:
        """Count one image; returns the score by which examples are ranked."""
        ...

    def picture(self, sample: Sample, prediction: _Counted) -> tuple[NDArray[np.uint8], str]:
        """The image as an example, and its caption."""
        ...

    def rows(self) -> list[dict[str, Any]]: ...

    def scores(self, quick: bool) -> dict[str, Any]: ...


def _evaluate(
    tally: _Tally[_Prediction],
    predict: Callable[[Sample], _Prediction],
    records: Sequence[Record],
    progress: Progress | None,
    quick: bool,
) -> Evaluation:
    if not records:
        raise DataError("there is no image to evaluate on; name another part with --split, or data with that part")
    ranking = []
    for done, record in enumerate(records, start=1):
        sample = load_sample(record, tally.classes, tally.task)
        ranking.append(tally.add(sample, predict(sample)))
        if progress is not None:
            progress(done, len(records))
    examples = () if quick else _examples(tally, predict, records, ranking)
    scores = tally.scores(quick) | {"examples": [example.to_json() for example in examples]}
    return Evaluation(tally.task, tally.classes, scores, tally.rows(), tally.confusion, examples)


def _examples(
    tally: _Tally[_Prediction],
    predict: Callable[[Sample], _Prediction],
    records: Sequence[Record],
    ranking: Sequence[float],
) -> tuple[Example, ...]:
    """Predict the chosen few again: cheaper than keeping every image and mask until the ranking is known."""
    examples = []
    for rank, position, index in choose(ranking):
        sample = load_sample(records[index], tally.classes, tally.task)
        drawn, caption = tally.picture(sample, predict(sample))
        examples.append(Example(rank, position, records[index].id, ranking[index], caption, drawn))
    return tuple(examples)
