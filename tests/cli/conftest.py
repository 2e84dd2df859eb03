"""The command line, run inside the test's process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.cli import main

Ends = Callable[..., int]


@pytest.fixture
def segkit() -> Ends:
    """`segkit("classify", model, image)` runs the command and gives its exit code."""

    def run(*words: str | Path) -> int:
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        assert isinstance(left.value.code, int)
        return left.value.code

    return run
