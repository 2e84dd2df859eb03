"""What an evaluation found, and the files it leaves."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segkit.errors import UsageError
from segkit.evaluation.examples import Example
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import ClassMap, TaskName

METRICS = "metrics.json"
PER_IMAGE = "per_image.csv"

IMAGE_SCORE: Mapping[TaskName, str] = {"segment": "dice", "instances": "ap50", "detect": "f1", "classify": "correct"}
"""Column of the table of images that says how good a prediction is; NaN, an empty cell, where nothing counts."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of a predictor on a set of images.

    Attributes:
        task: what was predicted.
        classes: the classes scored.
        scores: JSON-ready: `score` with its `metric`, `interval`, `unit`, `units` and `images`, the rule for empty
            masks, the scores at `dataset` and `image` level, one entry per class in `classes`, the `examples`, and in
            `evaluated`, where a model file was scored on a data set, which model, data and settings they were.
        per_image: one row per image, in the order of the records.
        confusion: (K, K) pixels (segmentation) or images (classification), one row per reference class; None for
            objects.
        examples: pictures of the worst, median and best images; none in a quick evaluation.
    """

    task: TaskName
    classes: ClassMap
    scores: Mapping[str, Any]
    per_image: Sequence[Mapping[str, Any]]
    confusion: NDArray[np.int64] | None
    examples: Sequence[Example] = ()

    @property
    def score(self) -> float:
        """Mean foreground Dice, AP@0.5, AP (AP50 where quick) or top-1 accuracy; NaN where nothing was counted."""
        value = self.scores["score"]
        return float("nan") if value is None else float(value)

    def with_scores(self, further: Mapping[str, Any]) -> Evaluation:
        """The same evaluation with further JSON-ready entries in its `scores`."""
        return replace(self, scores={**self.scores, **further})

    def write(self, folder: str | Path) -> Path:
        """Write `metrics.json`, `per_image.csv`, `confusion_matrix.csv` and `overlays/`; raises `OutputError`."""
        folder = make_folder(folder)
        write_atomically(folder / METRICS, _json(self.scores))
        rows = [list(self.per_image[0]), *(row.values() for row in self.per_image)]
        write_atomically(folder / PER_IMAGE, _csv(rows))
        if self.confusion is not None:
            write_atomically(folder / "confusion_matrix.csv", self._confusion_csv(self.confusion))
        if self.examples:
            make_folder(folder / "overlays")
        for example in self.examples:
            write_atomically(folder / example.file, _png(example.picture))
        return folder

    def _confusion_csv(self, confusion: NDArray[np.int64]) -> bytes:
        header = ["reference \\ prediction", *self.classes.names]
        rows = [[name, *counts] for name, counts in zip(self.classes.names, confusion.tolist(), strict=True)]
        return _csv([header, *rows])


def refuse_foreign_folder(folder: str | Path) -> None:
    """Raise `UsageError` where an evaluation written to `folder` could replace what no evaluation wrote."""
    folder = Path(folder)
    free = not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
    if not (free or _holds_evaluation(folder)):
        raise UsageError(f"{folder} exists and is no earlier evaluation; name another folder with -o")


def _holds_evaluation(folder: Path) -> bool:
    try:
        scores = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(scores, dict) and "metric" in scores


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _csv(rows: Sequence[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _png(picture: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, format="PNG")
    return content.getvalue()
