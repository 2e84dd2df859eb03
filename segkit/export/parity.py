"""What an export changed: images that go the whole way from file to result, through the network and its export."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import SegkitError
from segkit.evaluation.evaluate import evaluate_heads
from segkit.evaluation.result import IMAGE_SCORE, Evaluation
from segkit.export.difference import changed
from segkit.inference.decisions import Outputs
from segkit.inference.engines._base import Engine, EngineName, ExportedPrecision
from segkit.inference.exported import Parity, ScoreChange
from segkit.inference.predictor import Predictor
from segkit.inference.results import CombinedResult, Result
from segkit.metrics import bootstrap_interval
from segkit.ops.words import counted
from segkit.structures import ClassMap, Record, TaskName

TOLERANCE: Mapping[ExportedPrecision, float] = {"fp32": 0.0001, "bf16": 0.002, "fp16": 0.002, "int8": 0.005}
"""Largest share of pixels, boxes or images with another result; of int8 the largest loss of a score."""

KEPT = 4
"""Batches of an image whose outputs are compared: all of an image in one piece, the first tiles of a large one."""

RUNS = 3
"""Timed runs of each network, in turns, after one that is not."""


class Recording:
    """An engine that another one computes, and whose first batches since `start` are kept.

    Attributes:
        batches: inputs (N, C, H, W) and outputs by name.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.description = engine.description
        self.batches: list[tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]] = []

    def start(self) -> None:
        """Forget what was kept."""
        self.batches.clear()

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """What the engine gives."""
        outputs = self._engine.run(images)
        if len(self.batches) < KEPT:
            self.batches.append((images, outputs))
        return outputs


@dataclass(frozen=True)
class Shown:
    """The images that are compared.

    Attributes:
        origin: which they are, for people.
        records: images of a data set, with targets.
        arrays: images of noise in their place.
        heads: what is scored of the records, each with its classes.
    """

    origin: str
    records: Sequence[Record] = ()
    arrays: Sequence[NDArray[Any]] = ()
    heads: Mapping[TaskName, ClassMap] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records) + len(self.arrays)


class Pair:
    """A predictor and its export, asked for every image in turn: the results are those of the export.

    The engines of both are recorded from then on.

    Attributes:
        largest_difference: of any two logits so far.
    """

    def __init__(self, before: Predictor, after: Predictor) -> None:
        self.before, self.after = before, after
        self.heads, self.threshold = before.heads, before.threshold
        self.largest_difference = 0.0
        self._recordings = Recording(before.engine), Recording(after.engine)
        before.engine, after.engine = self._recordings
        self._changed: dict[TaskName, int] = defaultdict(int)
        self._compared: dict[TaskName, int] = defaultdict(int)

    def predict(self, image: NDArray[Any]) -> Result | CombinedResult:
        """What the export says of an image; what the network says of it is compared."""
        for recording in self._recordings:
            recording.start()
        first, second = self.before.predict(image), self.after.predict(image)
        for (_, logits), (_, others) in zip(*(recording.batches for recording in self._recordings), strict=True):
            self.largest_difference = max(self.largest_difference, _largest_difference(logits, others))
        for task in self.heads:
            number, of = changed(_part(first, task), _part(second, task), self.threshold)
            self._changed[task] += number
            self._compared[task] += of
        return second

    @property
    def changed(self) -> dict[TaskName, float]:
        """Share of pixels, boxes or images with another result so far, by head."""
        return {task: number / max(self._compared[task], 1) for task, number in self._changed.items()}

    def seconds(self) -> tuple[float, float]:
        """Seconds for the first batch of the last image, of the network and of its export: medians of runs in turns."""
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(1 + RUNS):
            for recording, of_engine in zip(self._recordings, times, strict=True):
                start = time.perf_counter()
                recording.run(recording.batches[0][0])
                of_engine.append(time.perf_counter() - start)
        before, after = (float(np.median(of_engine[1:])) for of_engine in times)
        return before, after


def compare(
    before: Predictor,
    after: Predictor,
    shown: Shown,
    engine: EngineName,
    precision: ExportedPrecision,
    progress: Callable[[int, int], None] | None = None,
) -> Parity:
    """Compare a network with its export on images, and decide whether it is the same within the tolerance.

    Args:
        before: the network in fp32.
        after: the export, as it is loaded.
        shown: the images, at least one.
        engine: that computes the export.
        precision: of the export.
        progress: called after every image.
    """
    pair = Pair(before, after)
    scores: dict[TaskName, ScoreChange] = {}
    if shown.records:
        evaluations = [
            evaluate_heads(predicts, shown.records, shown.heads, progress, quick=True) for predicts in (before, pair)
        ]
        scores = {task: _score_change(evaluations[0][task], evaluations[1][task]) for task in evaluations[0]}
    for done, image in enumerate(shown.arrays, start=1):
        pair.predict(image)
        if progress is not None:
            progress(done, len(shown))
    seconds = pair.seconds()
    allowed = TOLERANCE[precision]
    if precision == "int8":
        passed = bool(scores) and all(-change.difference <= allowed for change in scores.values())
    else:
        passed = max(pair.changed.values()) <= allowed
    return Parity(
        engine=engine,
        images=len(shown),
        origin=shown.origin,
        real=bool(shown.records),
        largest_difference=pair.largest_difference,
        changed=pair.changed,
        scores=scores,
        seconds_before=seconds[0],
        seconds_after=seconds[1],
        allowed=allowed,
        passed=passed,
    )


def describe(parity: Parity, precision: ExportedPrecision) -> list[str]:
    """A table for people."""
    limit = f"{parity.allowed:.2%} allowed" if precision != "int8" else "the scores decide"
    noise = "" if parity.real else ": no real images, name some with '--check-on DATA'"
    rows = [("largest difference of logits", f"{parity.largest_difference:.2g}")]
    rows += [(f"changed {NOUNS[task]}", f"{share:.4%}, {limit}") for task, share in parity.changed.items()]
    rows += [(change.metric, _score_words(change, parity, precision)) for change in parity.scores.values()]
    speed = f"{1 / parity.seconds_before:.3g} to {1 / parity.seconds_after:.3g}"
    rows.append(("images per second", f"{speed}, {parity.seconds_before / parity.seconds_after:.2f} times as fast"))
    width = max(len(name) for name, _ in rows)
    verdict = "within the tolerance" if parity.passed else "NOT within the tolerance"
    head = f"{parity.engine} against torch in fp32, on {counted(parity.images, 'image')} ({parity.origin}{noise})"
    return [f"{head}: {verdict}", *(f"  {name:<{width}}  {value}" for name, value in rows)]


NOUNS: Mapping[TaskName, str] = {
    "segment": "pixels",
    "instances": "pixels of objects",
    "detect": "boxes",
    "classify": "labels",
}


def _score_words(change: ScoreChange, parity: Parity, precision: ExportedPrecision) -> str:
    if change.before is None or change.after is None:
        return "not counted"
    interval = ""
    if change.interval is not None:
        interval = f" [{change.interval[0]:+.4f}, {change.interval[1]:+.4f}]"
    limit = f", a loss of {parity.allowed:g} allowed" if precision == "int8" else ""
    return f"{change.before:.4f} to {change.after:.4f}, {change.difference:+.4f}{interval}{limit}"


def _part(result: Result | CombinedResult, task: TaskName) -> Result:
    """What one head says."""
    part = getattr(result, task) if isinstance(result, CombinedResult) else result
    assert part is not None
    return part


def _largest_difference(outputs: Outputs, others: Outputs) -> float:
    """Of any two logits; raises `SegkitError` where an output is missing, has another shape or is no number."""
    largest = 0.0
    for name, values in outputs.items():
        other = others.get(name)
        if other is None or other.shape != values.shape or not np.isfinite(other).all():
            found = "nothing" if other is None else f"{other.shape}, finite: {bool(np.isfinite(other).all())}"
            raise SegkitError(f"the export gives {found} for {name!r}, the network {values.shape}; it was not written")
        if not name.endswith("boxes"):
            largest = max(largest, float(np.abs(values - other).max(initial=0)))
    return largest


def _score_change(before: Evaluation, after: Evaluation) -> ScoreChange:
    """One head's score before and after, with the interval of the mean difference of its images."""
    column = IMAGE_SCORE[before.task]
    of_units: defaultdict[str, list[float]] = defaultdict(list)
    for row, other in zip(before.per_image, after.per_image, strict=True):
        if row[column] is not None and other[column] is not None:
            of_units[row["unit"]].append(other[column] - row[column])
    sums = np.array([[np.mean(differences), 1.0] for differences in of_units.values()]).reshape(-1, 2)
    interval = bootstrap_interval(sums, lambda totals: totals[..., 0] / totals[..., 1])
    return ScoreChange(
        metric=before.scores["metric"],
        before=before.scores["score"],
        after=after.scores["score"],
        interval=None if interval is None else (interval.low, interval.high),
    )
