"""Training on a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from segkit.data.loader import EpochSampler, training_loader
from segkit.errors import SegkitError
from segkit.losses import create_loss
from segkit.tasks import PixelTask
from segkit.training import TrainingConfig
from segkit.training.fit import FitResult, fit
from tests.training.tiny import Squares, keep_nothing, overlap, tiny_net

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

CONFIG = TrainingConfig(epochs=4, learning_rate=0.03, workers=1)


class Watched(nn.Module):
    """A network that notes how its input arrives."""

    def __init__(self, copies: int = 0) -> None:
        super().__init__()
        self.net = tiny_net()
        self.arrived: set[tuple[str, bool, bool]] = set()
        self._copies = copies

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        self.arrived.add((images.device.type, channels_last, torch.is_autocast_enabled("cuda")))
        outputs = self.net(images.repeat(1, 1, 4, 4))
        kept = outputs["segment"].repeat(1, 1 + self._copies, 1, 1)
        return {"segment": (kept * kept.sigmoid())[:, :2, :16, :16]}


def run_on_cuda(folder: Path, config: TrainingConfig, model: nn.Module, resume: bool = False) -> FitResult:
    loader = training_loader(
        Squares(), EpochSampler(28, 28, seed=0), config.batch_size, config.workers, pin_memory=True
    )
    task = PixelTask("segment", create_loss("ce_dice", 2, (1.0, 2.0)))
    return fit(
        model, task, loader, overlap, keep_nothing, config, folder, "cuda", resume=resume, console=Console(quiet=True)
    )


def test_learns_in_bf16_and_channels_last(tmp_path: Path) -> None:
    model = Watched()
    result = run_on_cuda(tmp_path, CONFIG, model)
    assert result.precision.name == "bf16"
    assert result.scores["score"] > 0.8
    assert ("cuda", True, True) in model.arrived


def test_resumes(tmp_path: Path) -> None:
    class Crashing(Watched):
        def forward(self, images: Tensor) -> dict[str, Tensor]:
            self.left = getattr(self, "left", 17) - self.training
            if self.left < 0:
                raise RuntimeError("crash")
            return super().forward(images)

    reference, resumed = Watched(), Watched()
    run_on_cuda(tmp_path / "uninterrupted", CONFIG, reference)
    config = CONFIG.model_copy(update={"checkpoint_seconds": 0.0})
    with pytest.raises(RuntimeError, match="crash"):
        run_on_cuda(tmp_path / "resumed", config, Crashing())
    run_on_cuda(tmp_path / "resumed", config, resumed, resume=True)
    for one, other in zip(resumed.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.01)


@pytest.fixture
def small_memory() -> Iterator[None]:
    """Half a gigabyte of the device's memory."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(0.5 * 2**30 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.usefixtures("small_memory")
def test_out_of_memory_names_a_batch_that_fits(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"batch_size": 16})
    with pytest.raises(
        SegkitError, match=r"a batch of 16 images of 16x16 exceeds the memory of cuda; a batch of \d fits"
    ) as caught:
        run_on_cuda(tmp_path, config, Watched(copies=1000))
    fits = int(str(caught.value).split("--batch-size ")[1].rstrip("'"))
    run_on_cuda(tmp_path / "smaller", config.model_copy(update={"batch_size": fits, "epochs": 1}), Watched(copies=1000))
