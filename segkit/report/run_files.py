"""The files of a run folder, each of which may be missing."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segkit.config import read_yaml
from segkit.errors import DataError, UsageError
from segkit.structures import TASKS

Row = dict[str, str]


@dataclass(frozen=True)
class HeadFiles:
    """What the evaluation of one head left; empty where a file is missing.

    Attributes:
        folder: `evaluation/`, of heads beside the main one `evaluation/HEAD/`.
        scores: `metrics.json`.
        per_image: rows of `per_image.csv`.
        confusion: rows of `confusion_matrix.csv`, header included.
    """

    folder: Path
    scores: dict[str, Any]
    per_image: list[Row]
    confusion: list[list[str]]


@dataclass(frozen=True)
class RunFiles:
    """What a run left; empty where a file is missing.

    Attributes:
        folder: the run folder.
        config: `config.yaml`.
        splits: `splits.json`, part -> ids.
        fingerprint: `fingerprint.json`.
        environment: `environment.json`.
        log: rows of `metrics.csv`, one per validation.
        heads: the evaluations, the main one first.
    """

    folder: Path
    config: dict[str, Any]
    splits: dict[str, Any]
    fingerprint: dict[str, Any]
    environment: dict[str, Any]
    log: list[Row]
    heads: tuple[HeadFiles, ...]

    @property
    def scores(self) -> dict[str, Any]:
        """Those of the main head."""
        return self.heads[0].scores


def read_run(folder: str | Path) -> RunFiles:
    """Read a run folder.

    Raises:
        UsageError: the folder holds neither a training nor an evaluation.
        DataError: a file that is there cannot be read as what it should be.
    """
    folder = Path(folder)
    evaluation = folder / "evaluation"
    further = [evaluation / task for task in TASKS if (evaluation / task / "metrics.json").exists()]
    files = RunFiles(
        folder,
        config=read_yaml(folder / "config.yaml") if (folder / "config.yaml").exists() else {},
        splits=_read_json(folder / "splits.json"),
        fingerprint=_read_json(folder / "fingerprint.json"),
        environment=_read_json(folder / "environment.json"),
        log=_read_rows(folder / "metrics.csv"),
        heads=tuple(_read_head(head) for head in (evaluation, *further)),
    )
    if not (files.config or files.log or files.scores):
        raise UsageError(f"{folder} holds no run: expected config.yaml, metrics.csv or evaluation/metrics.json in it")
    return files


def _read_head(folder: Path) -> HeadFiles:
    return HeadFiles(
        folder,
        scores=_read_json(folder / "metrics.json"),
        per_image=_read_rows(folder / "per_image.csv"),
        confusion=_read_table(folder / "confusion_matrix.csv"),
    )


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); write it again or remove it, the report does without") from None
    if not isinstance(content, dict):
        raise DataError(
            f"{path} holds a {type(content).__name__}, expected names and values; remove it or write it again"
        )
    return content


def _read_table(path: Path) -> list[list[str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def _read_rows(path: Path) -> list[Row]:
    header, *rows = _read_table(path) or [[]]
    return [dict(zip(header, row, strict=False)) for row in rows]
