"""Evaluate a predictor, or masks written before, on records with known targets: one image in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import read_mask
from segkit.data.samples import load_targets, target_of
from segkit.errors import DataError, UsageError
from segkit.evaluation.classify import ClassificationTally
from segkit.evaluation.detect import DetectionTally
from segkit.evaluation.examples import Example, choose
from segkit.evaluation.instances import InstanceTally
from segkit.evaluation.result import Evaluation
from segkit.evaluation.segment import SegmentationTally
from segkit.inference.results import CombinedResult, Result
from segkit.metrics.boundary import DEFAULT_TOLERANCE
from segkit.structures import IGNORE_INDEX, ClassMap, Record, Sample, TaskName

__all__ = ["Evaluation", "Predicts", "Progress", "evaluate", "evaluate_folds", "evaluate_heads", "evaluate_masks"]

Progress = Callable[[int, int], None]
"""Called after every image with the number done and the number in all."""

_Counted = TypeVar("_Counted", contravariant=True)


class Predicts(Protocol):
    """What evaluation needs of a predictor."""

    @property
    def heads(self) -> Mapping[TaskName, ClassMap]:
        """What it predicts, each with the classes it knows; the main one first."""
        ...

    @property
    def threshold(self) -> float:
        """Score from which its boxes are counted image by image."""
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
    """Predict every record and score the results of the predictor's main head.

    Args:
        predictor: runs on one image at a time.
        records: images with the target of the head: masks, objects, boxes or labels.
        classes: what the values in the masks, or the labels, mean; the same classes as the predictor's.
        progress: called after every image.
        quick: for validation during training: no intervals, no distances of outlines and no pictures.
        tolerance: of the normalized surface distance, in mm where the images state their spacing, else in pixels.

    Raises:
        DataError: no records, a record without target, or a target that does not fit its image.
        UsageError: the predictor knows other classes.
        UnreadableFileError: a file that cannot be read.
    """
    main = next(iter(predictor.heads))
    return evaluate_heads(predictor, records, {main: classes}, progress, quick, tolerance)[main]


def evaluate_heads(
    predictor: Predicts,
    records: Sequence[Record],
    heads: Mapping[TaskName, ClassMap],
    progress: Progress | None = None,
    quick: bool = False,
    tolerance: float = DEFAULT_TOLERANCE,
) -> dict[TaskName, Evaluation]:
    """As `evaluate`, for several heads of the predictor, each image predicted once.

    A head is scored on the records that have its target.
    """
    _require_classes(predictor, heads)
    return _predict_and_score(lambda _: predictor, records, heads, progress, quick, tolerance)


def evaluate_folds(
    predictors: Sequence[Predicts],
    folds: Sequence[Sequence[Record]],
    heads: Mapping[TaskName, ClassMap],
    progress: Progress | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> dict[TaskName, Evaluation]:
    """Predict the records of each fold with its own predictor, and score all of them together.

    Args and errors as of `evaluate_heads`; `predictors` and `folds` have one entry per fold, no record is in two.
    """
    for predictor in predictors:
        _require_classes(predictor, heads)
    predictor_of: Mapping[str, Predicts] = {
        record.id: predictor for predictor, fold in zip(predictors, folds, strict=True) for record in fold
    }
    records = [record for fold in folds for record in fold]
    return _predict_and_score(lambda id_: predictor_of[id_], records, heads, progress, False, tolerance)


def _require_images(records: Sequence[Record]) -> None:
    if not records:
        raise DataError("there is no image to evaluate on; name another part with --split, or data with that part")


def _require_classes(predictor: Predicts, heads: Mapping[TaskName, ClassMap]) -> None:
    for task, classes in heads.items():
        known = predictor.heads[task].names
        if known != classes.names:
            raise UsageError(
                f"the model's classes are {', '.join(known)}, the data's {', '.join(classes.names)}; "
                "evaluate on data with the model's classes, or name and map them with --classes and --map"
            )


def _predict_and_score(
    predictor_of: Callable[[str], Predicts],
    records: Sequence[Record],
    heads: Mapping[TaskName, ClassMap],
    progress: Progress | None,
    quick: bool,
    tolerance: float,
) -> dict[TaskName, Evaluation]:
    """Score the predictions of the predictor that belongs to a record's id."""

    def predict(sample: Sample) -> dict[TaskName, Any]:
        predictor = predictor_of(sample.record.id)
        result = predictor.predict(sample.image)
        found: dict[TaskName, Any] = {
            task: getattr(result, task) if isinstance(result, CombinedResult) else result for task in heads
        }
        if "segment" in found:
            found["segment"] = predictor.heads["segment"].ids_to_indices(found["segment"].mask)
        return found

    _require_images(records)
    threshold = predictor_of(records[0].id).threshold
    tallies = {task: _tally(task, classes, quick, tolerance, threshold) for task, classes in heads.items()}
    return _evaluate(tallies, predict, records, heads, progress, quick)


def _tally(task: TaskName, classes: ClassMap, quick: bool, tolerance: float, threshold: float) -> _Tally[Any]:
    if task == "classify":
        return ClassificationTally(classes)
    if task == "detect":
        return DetectionTally(classes, threshold)
    if task == "instances":
        return InstanceTally(classes, coco=not quick)
    return _segmentation(classes, quick, tolerance)


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

    _require_images(records)
    tallies: dict[TaskName, _Tally[Any]] = {"segment": _segmentation(classes, quick, tolerance)}
    return _evaluate(tallies, lambda sample: {"segment": read(sample)}, records, {"segment": classes}, progress, quick)[
        "segment"
    ]


class _Tally(Protocol[_Counted]):
    """Counts one prediction after the other, and scores them all."""

    @property
    def task(self) -> TaskName: ...

    @property
    def classes(self) -> ClassMap: ...

    @property
    def confusion(self) -> NDArray[np.int64] | None: ...

    def add(self, sample: Sample, prediction: _Counted) -> float:
        """Count one image; returns the score by which examples are ranked."""
        ...

    def picture(self, sample: Sample, prediction: _Counted) -> tuple[NDArray[np.uint8], str]:
        """The image as an example, and its caption."""
        ...

    def rows(self) -> list[dict[str, Any]]: ...

    def scores(self, quick: bool) -> dict[str, Any]: ...


def _evaluate(
    tallies: Mapping[TaskName, _Tally[Any]],
    predict: Callable[[Sample], Mapping[TaskName, Any]],
    records: Sequence[Record],
    heads: Mapping[TaskName, ClassMap],
    progress: Progress | None,
    quick: bool,
) -> dict[TaskName, Evaluation]:
    rankings: dict[TaskName, list[tuple[Record, float]]] = {task: [] for task in tallies}
    for done, record in enumerate(records, start=1):
        sample = load_targets(record, heads)
        predictions = predict(sample)
        for task, tally in tallies.items():
            if len(tallies) == 1 or target_of(sample, task) is not None:
                rankings[task].append((record, tally.add(sample, predictions[task])))
        if progress is not None:
            progress(done, len(records))
    return {task: _scored(tally, predict, rankings[task], quick) for task, tally in tallies.items() if rankings[task]}


def _scored(
    tally: _Tally[Any],
    predict: Callable[[Sample], Mapping[TaskName, Any]],
    ranking: Sequence[tuple[Record, float]],
    quick: bool,
) -> Evaluation:
    examples = () if quick else _examples(tally, predict, ranking)
    scores = tally.scores(quick) | {"examples": [example.to_json() for example in examples]}
    return Evaluation(tally.task, tally.classes, scores, tally.rows(), tally.confusion, examples)


def _examples(
    tally: _Tally[Any],
    predict: Callable[[Sample], Mapping[TaskName, Any]],
    ranking: Sequence[tuple[Record, float]],
) -> tuple[Example, ...]:
    """Predict the chosen few again: cheaper than keeping every image and mask until the ranking is known."""
    examples = []
    for rank, position, index in choose([score for _, score in ranking]):
        record, score = ranking[index]
        sample = load_targets(record, {tally.task: tally.classes})
        drawn, caption = tally.picture(sample, predict(sample)[tally.task])
        examples.append(Example(rank, position, record.id, score, caption, drawn))
    return tuple(examples)
