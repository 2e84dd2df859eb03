"""Which images a person should look at first: a table of how unsure a network is of them, the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segkit.inference.output_folder import write_table
from segkit.inference.results.uncertainty import Uncertainty
from segkit.structures import TASKS, TaskName

REVIEW = "review.csv"
COLUMNS = ("image", "head", "entropy")
"""That the table begins with; `disagreement` stands beside where several views or networks were asked."""


class Review:
    """Takes how unsure a network is, image by image, and writes the means; `rows` are those of the table, unsorted."""

    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []

    def add(self, image: str | Path, head: TaskName, found: Uncertainty) -> None:
        """Of a mask the mean over its pixels."""
        row = {"image": image, "head": head, "entropy": f"{found.entropy.mean():.6f}"}
        if found.disagreement is not None:
            row["disagreement"] = f"{found.disagreement.mean():.6f}"
        self.rows.append(row)

    def write(self, path: Path) -> None:
        """The table of each head, the highest entropy first, one head after the other; raises `OutputError`."""
        worst_first = sorted(self.rows, key=lambda row: (TASKS.index(row["head"]), -float(row["entropy"])))
        write_table(path, COLUMNS, worst_first)
