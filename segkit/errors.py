"""Errors that speak the user's language.

Every error segkit raises on purpose is a `SegkitError`. Its message says what was given, what is allowed and what to
do, in one line; the command line prints exactly that line and leaves with the error's `exit_code`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

NOT_COMPLETED = 1
WRONG_USAGE = 2


class SegkitError(Exception):
    """Something could not be completed: the message says what and what to do about it."""

    exit_code = NOT_COMPLETED


class UsageError(SegkitError):
    """A wrong option, value, name or input that the caller can correct and try again."""

    exit_code = WRONG_USAGE


class ConfigError(UsageError):
    """A configuration with unknown keys or wrong values; the message lists all of them."""


class ModelFileError(UsageError):
    """A file that is no segkit model file, is damaged, or comes from a newer segkit."""


class DataError(SegkitError):
    """A data set that must not be trained on or evaluated as it is."""


class OutputError(SegkitError):
    """A result that could not be written; nothing half-written remains under its final name."""


class UnreadableFileError(SegkitError):
    """A data file that cannot be read as what it should be."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"cannot read {path}: {reason}")
        self.path = Path(path)
        self.reason = reason

    def __reduce__(self) -> tuple[type[UnreadableFileError], tuple[Path, str]]:
        """Pickle by the two arguments, so that the error survives the way back from a worker process."""
        return type(self), (self.path, self.reason)


def nearest(name: str, choices: Iterable[str]) -> str:
    """The hint `" Did you mean 'x'?"` for the choice most like `name`, or an empty string when none is near."""
    lowered = {choice.lower(): choice for choice in choices}
    matches = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return f" Did you mean {lowered[matches[0]]!r}?" if matches else ""
