"""Probabilities of classes beside the truth, from as many pixels of many images as fit into memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.samples import load_targets
from segkit.inference.predictor import Predictor
from segkit.inference.results import ClassificationResult, CombinedResult, SegmentationResult
from segkit.structures import IGNORE_INDEX, ClassMap, Progress, Record, Sample, TaskName

MOST_PIXELS = 500_000
"""Of all images together, drawn at random."""


@dataclass(frozen=True)
class Cases:
    """Probabilities (N, K) of cases, their class indices `labels` (N,), and the number of images they are from."""

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]
    images: int


def collect_cases(
    predictor: Predictor,
    records: Sequence[Record],
    heads: Mapping[TaskName, ClassMap],
    progress: Progress | None = None,
) -> dict[TaskName, Cases]:
    """Predict records and keep the probabilities of pixels of their masks, and of their labels; equal every time.

    Args:
        predictor: has these heads.
        records: images with targets of some of the heads.
        heads: `segment` and `classify`, with the classes of the data.
        progress: called after every image.

    Raises:
        DataError, UnreadableFileError: as `load_targets`.
    """
    found: dict[TaskName, list[tuple[NDArray[np.float32], NDArray[np.int64]]]] = {head: [] for head in heads}
    random, most = np.random.default_rng(0), max(1, MOST_PIXELS // max(1, len(records)))
    for done, record in enumerate(records, start=1):
        sample = load_targets(record, heads)
        predicted = predictor.predict(sample.image, probabilities=True)
        for head in heads:
            result = predicted.results()[head] if isinstance(predicted, CombinedResult) else predicted
            assert isinstance(result, SegmentationResult | ClassificationResult)
            assert result.probabilities is not None
            case = _of_image(result.probabilities, sample, head, random, most)
            if len(case[1]):
                found[head].append(case)
        if progress is not None:
            progress(done, len(records))
    return {
        head: Cases(np.concatenate([maps for maps, _ in cases]), np.concatenate([of for _, of in cases]), len(cases))
        for head, cases in found.items()
        if cases
    }


def _of_image(
    probabilities: NDArray[np.float32], sample: Sample, head: TaskName, random: np.random.Generator, most: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    target: Any = sample.mask if head == "segment" else sample.label
    labels = np.asarray(IGNORE_INDEX if target is None else target, np.int64).ravel()
    counted = np.flatnonzero(labels != IGNORE_INDEX)
    if len(counted) > most:
        counted = np.sort(random.choice(counted, most, replace=False))
    maps = probabilities.reshape(len(probabilities), -1)
    return np.ascontiguousarray(maps[:, counted].T), labels[counted]
