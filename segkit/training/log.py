"""The table of a run: `metrics.csv`, one row per validation."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from typing_extensions import override

from segkit.ops.files import make_folder, write_atomically
from segkit.training.validation import ValidationReport

COLUMNS = ("epoch", "step", "seconds", "learning_rate")


class MetricsLog(Callback):
    """Writes epoch, step, seconds, learning rate, training losses (`train_loss`) and validation scores.

    The checkpoint holds the rows too: a resumed run writes the table as it was then, without the rows that came after.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, int | float]] = []

    def add(self, report: ValidationReport) -> None:
        """Append a row; raises `OutputError` when it cannot be written."""
        self._rows.append(
            {
                "epoch": report.epoch,
                "step": report.step,
                "seconds": round(report.seconds, 2),
                "learning_rate": report.learning_rate,
                **{f"train_{name}": value for name, value in report.training.losses.items()},
                **report.scores,
            }
        )
        self._write()

    @override
    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the file what the checkpoint knows."""
        self._write()

    @override
    def state_dict(self) -> dict[str, Any]:
        """All rows."""
        return {"rows": self._rows}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The rows up to the checkpoint."""
        self._rows = state_dict["rows"]

    def _write(self) -> None:
        columns = dict.fromkeys([*COLUMNS, *(name for row in self._rows for name in row)])
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, fieldnames=list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        make_folder(self._path.parent)
        write_atomically(self._path, table.getvalue().encode())
