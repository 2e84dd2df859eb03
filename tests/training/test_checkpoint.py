"""Checkpoints: whole or not there, and plain."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from segkit.errors import OutputError
from segkit.training import TrainingConfig
from segkit.training.checkpoint import CheckpointFiles
from tests.training.tiny import run, tiny_net


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may grow beyond 4 kB, which fails as a full disk does: in the middle of writing."""
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, handler)


def test_holds_tensors_and_plain_values_only(tmp_path: Path) -> None:
    run(tmp_path, TrainingConfig(epochs=1, workers=0))
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["config"]["epochs"] == 1
    assert set(checkpoint["callbacks"]) == {"Position", "WeightAverage", "Meter", "Validation", "MetricsLog"}


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path, files = tmp_path / "last.ckpt", CheckpointFiles()
    files.save_checkpoint({"weights": torch.zeros(10)}, path)
    message = (
        r"cannot save the checkpoint .*last\.ckpt: .+; free some space or .*; the checkpoint before it is unharmed"
    )
    with pytest.raises(OutputError, match=message.replace("; the", ".* the")):
        files.save_checkpoint({"weights": torch.zeros(100_000)}, path)
    assert torch.equal(files.load_checkpoint(path)["weights"], torch.zeros(10))
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_ends_the_run_with_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot save the checkpoint"):
        run(tmp_path, TrainingConfig(epochs=2, workers=0), tiny_net(width=64))


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OutputError, match=r"cannot (save|write) .*run/"):
        run(tmp_path / "run", TrainingConfig(epochs=1, workers=0))
