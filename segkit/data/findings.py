"""What the check finds in a data set: one finding per kind of problem, with the files it concerns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from segkit.data.readers._base import SLICE_SUFFIX


class Severity(StrEnum):
    """error: training refuses; warning: counted and said, training goes on; note: said."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One kind of problem.

    Attributes:
        code: stable name for `--allow` and programs, for example `"size-mismatch"`.
        severity: what the problem means for training.
        message: one sentence: what is wrong and what to do, with the flag that solves it.
        files: every file concerned, as shown to the user (relative to the data set's folder); of split files, the ids.
        records: ids of the records concerned; those a rule leaves out are told by them.
    """

    code: str
    severity: Severity
    message: str
    files: tuple[str, ...] = ()
    records: tuple[str, ...] = ()


def slices_joined(files: Sequence[str]) -> list[str]:
    """The files of a finding for people: many slices of one volume in one line."""
    volumes: dict[str, list[str]] = {}
    for file in files:
        volumes.setdefault(file.rpartition("/")[0] if file.endswith(SLICE_SUFFIX) else file, []).append(file)
    return [
        inside[0] if len(inside) == 1 else f"{inside[0]} to {inside[-1].rpartition('/')[2]} ({len(inside)} slices)"
        for inside in volumes.values()
    ]


def shown(path: Path, root: Path) -> str:
    """A path as the user is told it: below the data set's folder (that of its table), with forward slashes."""
    folder = root if root.is_dir() else root.parent
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
