"""Fixtures every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.datasets import DatasetAbsentError, dataset


@pytest.fixture(scope="session")
def datasets() -> Callable[[str], Path]:
    """`datasets("camvid")`: the folder of a real data set; the test is skipped, with the reason, where it is absent."""

    def find(name: str) -> Path:
        try:
            return dataset(name)
        except DatasetAbsentError as absent:
            pytest.skip(str(absent))

    return find


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests' scan results out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGKIT_CACHE", str(folder))
        yield folder
