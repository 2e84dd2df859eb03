"""A file is written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.errors import OutputError
from segkit.ops.files import make_folder, write_atomically
from tests.full_disk import full_disk


def test_replaces_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    write_atomically(target, b"old")
    write_atomically(target, b"new")
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_keeps_the_old_file_and_leaves_no_half_one(tmp_path: Path) -> None:
    target = tmp_path / "model.safetensors"
    write_atomically(target, b"old")
    message = r"cannot write .*model\.safetensors: File too large; free space or name"
    with full_disk(1000), pytest.raises(OutputError, match=message):
        write_atomically(target, bytes(5000))
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_interruption_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "mask.png", b"half")
    assert list(tmp_path.iterdir()) == []


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*No such file or directory"):
        write_atomically(tmp_path / "absent" / "a.csv", b"")


def test_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder .*Not a directory; name another place"):
        make_folder(tmp_path / "file" / "out")
