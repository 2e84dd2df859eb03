from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.datasets import DatasetAbsentError, dataset


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "archives"
    content = tmp_path / "tiny"
    content.mkdir()
    for i in range(50):
        (content / f"{i}.txt").write_text(str(i))
    folder.mkdir()
    with tarfile.open(folder / "tiny.tar", "w") as tar:
        tar.add(content, "tiny")
    monkeypatch.setenv("SEGKIT_DATASETS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def test_an_archive_is_unpacked_once_outside_the_repository(archives: Path) -> None:
    first = dataset("tiny")
    assert sorted(path.name for path in first.iterdir()) == sorted(f"{i}.txt" for i in range(50))
    (first / "mark").touch()
    assert (dataset("tiny") / "mark").exists()
    assert first.is_relative_to(archives.parent / "cache")


def test_several_processes_may_ask_at_once(archives: Path) -> None:
    code = "from tests.datasets import dataset; print(len(list(dataset('tiny').iterdir())))"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate()[0].strip() for process in processes] == ["50"] * 4
    assert [path.name for path in dataset("tiny").parent.iterdir()] == ["tiny"]


def test_a_folder_is_taken_as_it_is(archives: Path) -> None:
    (archives / "tiny.tar").unlink()
    (archives / "tiny").mkdir()
    assert dataset("tiny") == archives / "tiny"


def test_an_absent_set_says_where_it_was_looked_for(archives: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetAbsentError, match=r"holds neither other/ nor other\.tar"):
        dataset("other")
    monkeypatch.delenv("SEGKIT_DATASETS")
    with pytest.raises(DatasetAbsentError, match="set SEGKIT_DATASETS"):
        dataset("tiny")
