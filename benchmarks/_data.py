"""The real data sets a benchmark runs on: the folder named by `--data`, else found as the tests find them."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.datasets import DatasetAbsentError, dataset


def find(name: str, given: Path | None) -> Path:
    """The folder of the data set `name`; ends the program with the reason where it is not found."""
    if given is not None:
        return given
    try:
        return dataset(name)
    except DatasetAbsentError as absent:
        sys.exit(f"skipped: {absent}, or name the unpacked folder with --data; its origin is in data/README.md")
