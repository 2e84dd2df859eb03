"""Checkpoints: whole or not there, and plain."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from segkit.errors import OutputError, SegkitError
from segkit.training import TrainingConfig
from segkit.training.checkpoint import CheckpointFiles
from tests.full_disk import full_disk
from tests.training.tiny import run, tiny_net


def test_holds_tensors_and_plain_values_only(tmp_path: Path) -> None:
    run(tmp_path, TrainingConfig(epochs=1, workers=0))
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["config"]["epochs"] == 1
    assert set(checkpoint["callbacks"]) == {"Position", "WeightAverage", "Meter", "Validation", "MetricsLog"}


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path, files = tmp_path / "last.ckpt", CheckpointFiles()
    files.save_checkpoint({"state_dict": torch.zeros(10)}, path)
    message = r"cannot write .*last\.ckpt: File too large; free space .*'--resume' goes on from the checkpoint before"
    with full_disk(4096), pytest.raises(OutputError, match=message):
        files.save_checkpoint({"state_dict": torch.zeros(100_000)}, path)
    assert torch.equal(files.load_checkpoint(path)["state_dict"], torch.zeros(10))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_full_disk_ends_the_run_with_an_error(tmp_path: Path) -> None:
    with full_disk(4096), pytest.raises(OutputError, match=r"cannot write .*last\.ckpt: File too large"):
        run(tmp_path, TrainingConfig(epochs=2, workers=0), tiny_net(width=64))


def test_what_cannot_be_saved_is_not_called_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        CheckpointFiles().save_checkpoint({"state_dict": lambda: None}, tmp_path / "last.ckpt")
    assert list(tmp_path.iterdir()) == []


def archive(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return content.getvalue()


def saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"just text\n", "it is damaged or no checkpoint of segkit;"),
        (b"", "it is damaged or no checkpoint of segkit;"),
        (saved({"state_dict": torch.zeros(9999)})[:-9000], "it is damaged or no checkpoint of segkit;"),
        (pickle.dumps({"state_dict": 1}), "it is damaged or no checkpoint of segkit;"),
        (archive(text=b"hello"), r"it is damaged or no checkpoint of segkit \(.+\);"),
        (saved([1, 2]), "it holds something else than a checkpoint of segkit;"),
        (saved({"epoch": 3}), "it holds something else than a checkpoint of segkit;"),
    ],
    ids=["text", "empty", "cut short", "bare pickle", "other archive", "list", "other values"],
)
def test_files_that_are_no_checkpoint(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(SegkitError, match=rf"cannot resume from .*last\.ckpt: {reason} start a new run"):
        CheckpointFiles().load_checkpoint(path)


def test_a_checkpoint_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SegkitError, match=r"cannot resume from .*: No such file or directory; start a new run"):
        CheckpointFiles().load_checkpoint(tmp_path / "last.ckpt")


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder .*run"):
        run(tmp_path / "run", TrainingConfig(epochs=1, workers=0))
