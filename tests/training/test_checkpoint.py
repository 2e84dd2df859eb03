"""Checkpoints: whole or not there, and plain."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from segkit.errors import OutputError
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
    files.save_checkpoint({"weights": torch.zeros(10)}, path)
    message = (
        r"cannot save the checkpoint .*last\.ckpt: .+; free some space or .*; the checkpoint before it is unharmed"
    )
    with full_disk(4096), pytest.raises(OutputError, match=message.replace("; the", ".* the")):
        files.save_checkpoint({"weights": torch.zeros(100_000)}, path)
    assert torch.equal(files.load_checkpoint(path)["weights"], torch.zeros(10))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_full_disk_ends_the_run_with_an_error(tmp_path: Path) -> None:
    with full_disk(4096), pytest.raises(OutputError, match="cannot save the checkpoint"):
        run(tmp_path, TrainingConfig(epochs=2, workers=0), tiny_net(width=64))


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match=r"cannot (save|write) .*run/"):
        run(tmp_path / "run", TrainingConfig(epochs=1, workers=0))
