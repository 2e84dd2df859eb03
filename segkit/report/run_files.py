"""The files of a run folder, each of which may be missing."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segkit.config import read_yaml
from segkit.errors import DataError, UsageError

Row = dict[str, str]


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
        scores: `evaluation/metrics.json`.
        per_image: rows of `evaluation/per_image.csv`.
        confusion: rows of `evaluation/confusion_matrix.csv`, header included.
        further: of several heads those beside the main one, each with its `evaluation/HEAD/metrics.json`.
    """

    folder: Path
    config: dict[str, Any]
    splits: dict[str, Any]
    fingerprint: dict[str, Any]
    environment: dict[str, Any]
    log: list[Row]
    scores: dict[str, Any]
    per_image: list[Row]
    confusion: list[list[str]]
    further: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def evaluation(self) -> Path:
        """The folder of the evaluation."""
        return self.folder / "evaluation"


def read_run(folder: str | Path) -> RunFiles:
    """Read a run folder.

    Raises:
        UsageError: the folder holds neither a training nor an evaluation.
        DataError: a file that is there cannot be read as what it should be.
    """
    folder = Path(folder)
    evaluation = folder / "evaluation"
    files = RunFiles(
        folder,
        config=read_yaml(folder / "config.yaml") if (folder / "config.yaml").exists() else {},
        splits=_read_json(folder / "splits.json"),
        fingerprint=_read_json(folder / "fingerprint.json"),
        environment=_read_json(folder / "environment.json"),
        log=_read_rows(folder / "metrics.csv"),
        scores=_read_json(evaluation / "metrics.json"),
        per_image=_read_rows(evaluation / "per_image.csv"),
        confusion=_read_table(evaluation / "confusion_matrix.csv"),
        further={file.parent.name: _read_json(file) for file in sorted(evaluation.glob("*/metrics.json"))},
    )
    if not (files.config or files.log or files.scores):
        raise UsageError(f"{folder} holds no run: expected config.yaml, metrics.csv or evaluation/metrics.json in it")
    return files


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
