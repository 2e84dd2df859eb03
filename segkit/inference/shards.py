"""Dividing work among processes, each of which is given the same inputs and writes into the same folder. No torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from segkit.errors import UsageError
from segkit.inference.jobs import Job

_WRITTEN = re.compile(r"(?P<number>\d+)/(?P<count>\d+)")


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of the work, `number` counting from 1; the only part is all of it.

    Inputs are sorted by their paths below the folder that they have in common, and dealt out in turns. So the parts
    are disjoint, make up the whole, and are the same whatever the order of the inputs and wherever the folder lies.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(
                f"'--shard {self.number}/{self.count}': parts count from 1 to {max(self.count, 1)}, as 1/4, 2/4, 3/4 "
                "and 4/4 for four processes"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Of `i/n`; raises `UsageError` where it is none."""
        match = _WRITTEN.fullmatch(text.strip())
        if match is None:
            raise UsageError(f"'--shard {text}': expected part/parts, as 1/4 for the first of four processes")
        return cls(int(match["number"]), int(match["count"]))

    @property
    def is_all(self) -> bool:
        """Whether nothing is divided."""
        return self.count == 1

    @property
    def label(self) -> str:
        """What tells its files from those of other parts; empty where nothing is divided."""
        return "" if self.is_all else f"{self.number}-of-{self.count}"

    def file(self, name: str) -> str:
        """The name of a file that every part has of its own: `summary-1-of-4.csv` for `summary.csv`."""
        path = PurePath(name)
        return name if self.is_all else f"{path.stem}-{self.label}{path.suffix}"

    def of(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of all jobs that are this part's, in their order."""
        ranked = sorted(range(len(jobs)), key=lambda place: (jobs[place].path, str(jobs[place].file)))
        return [jobs[place] for place in sorted(ranked[self.number - 1 :: self.count])]


ALL = Shard()
