"""The tables of images that evaluations left, one per head, read back."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.evaluation.result import IMAGE_SCORE, METRICS, PER_IMAGE
from segkit.structures import TaskName


@dataclass(frozen=True)
class ImageTable:
    """The rows of a `per_image.csv`.

    Attributes:
        name: the run, as the user named it.
        task: what was predicted.
        rows: the cells of each image by column.
        scores: those of all images together, `metrics.json`; empty where there is none.
    """

    name: str
    task: TaskName
    rows: Mapping[str, Mapping[str, str]]
    scores: Mapping[str, Any]

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns."""
        return list(next(iter(self.rows.values())))

    @property
    def boundary(self) -> Mapping[str, Any]:
        """How outlines were measured; empty where they were not."""
        return self.scores.get("boundary") or {}

    def values(self, column: str) -> dict[str, float]:
        """Image to score, for the images that count; raises `UsageError` where a cell is no number."""
        try:
            return {image: float(row[column]) for image, row in self.rows.items() if row[column] not in (None, "")}
        except ValueError:
            raise UsageError(f"{self.name}: the column {column!r} holds what is no number; evaluate again") from None


def read_tables(run: str | Path) -> dict[TaskName, ImageTable]:
    """The tables of a run's heads, the main one first.

    Args:
        run: run folder, or the folder of an evaluation.

    Raises:
        UsageError: a folder without evaluation, or a damaged one.
    """
    folder = next((path for path in (Path(run) / "evaluation", Path(run)) if (path / PER_IMAGE).is_file()), None)
    if folder is None:
        raise UsageError(
            f"{run} holds no evaluation: there is no {PER_IMAGE} in it nor in its evaluation/; make one with "
            "segkit evaluate MODEL DATA -o FOLDER"
        )
    heads = [folder, *(folder / task for task in IMAGE_SCORE if (folder / task / PER_IMAGE).is_file())]
    tables = [_read(str(run), head) for head in heads]
    return {table.task: table for table in tables}


def _read(name: str, folder: Path) -> ImageTable:
    try:
        with (folder / PER_IMAGE).open(encoding="utf-8", newline="") as file:
            rows = {row["image"]: row for row in csv.DictReader(file)}
        scores = json.loads((folder / METRICS).read_text(encoding="utf-8")) if (folder / METRICS).exists() else {}
        units_known = all(row["unit"] for row in rows.values())
    except (OSError, ValueError, KeyError, csv.Error):
        rows, scores, units_known = {}, {}, False
    columns = next(iter(rows.values()), {})
    task = next((task for task, column in IMAGE_SCORE.items() if column in columns), None)
    if task is None or not (units_known and isinstance(scores, dict)):
        raise UsageError(f"the evaluation in {folder} is damaged or of another program; evaluate again")
    return ImageTable(name, task, rows, scores)
