"""Training speed: segkit's step beside the usual plain loop, on the same network, batch and data.

    python benchmarks/train_speed.py [--device cuda] [--rounds 5] [--steps 8]

Both train smp's U-Net/ResNet-34 on the same batches in memory. The usual loop computes in fp32 with channels first and
an unfused AdamW; segkit's is `segkit.training.fit.fit` with its defaults. They take turns, so that a machine whose
speed drifts slows both; the table shows the median over the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from segkit.data.loader import Draw, EpochSampler
from segkit.losses import create_loss
from segkit.tasks import PixelTask
from segkit.training import TrainingConfig
from segkit.training.fit import fit

NUM_CLASSES = 11


class Batches(Dataset[dict[str, Tensor]]):
    """Images and masks in memory, so that reading them takes no time; `stamps` holds when each batch was asked for."""

    def __init__(self, count: int, batch_size: int, size: int) -> None:
        random = torch.Generator().manual_seed(0)
        shape = (batch_size, size, size)
        self.batches = [
            {
                "image": torch.randn(batch_size, 3, size, size, generator=random),
                "mask": torch.randint(0, NUM_CLASSES, shape, generator=random),
            }
            for _ in range(count)
        ]
        self.stamps: list[float] = []

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # the step before has only been started
        self.stamps.append(time.perf_counter())
        return self.batches[draw.position % len(self.batches)]

    def images_per_second(self) -> float:
        """Speed between the second batch and the last: the first step sets things up."""
        images = len(self.batches[0]["image"]) * (len(self.stamps) - 2)
        return images / (self.stamps[-1] - self.stamps[1])


class Outputs(nn.Module):
    """smp's network with outputs by head."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) to logits (N, K, H, W) under `segment`."""
        return {"segment": self.network(images)}


def create_network() -> nn.Module:
    torch.manual_seed(0)
    return smp.Unet("resnet34", encoder_weights=None, classes=NUM_CLASSES)


def loader_of(batches: Batches, steps: int) -> DataLoader[dict[str, Tensor]]:
    return DataLoader(batches, batch_size=None, sampler=EpochSampler(steps, steps, seed=0))


def usual(network: nn.Module, batches: Batches, steps: int, device: str) -> float:
    """The plain loop of most tutorials."""
    network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-4, fused=False, foreach=False)
    loss = create_loss("ce_dice", NUM_CLASSES).to(device)
    batches.stamps.clear()
    for batch in loader_of(batches, steps):
        optimizer.zero_grad()
        loss(network(batch["image"].to(device)), batch["mask"].to(device)).backward()
        optimizer.step()
    return batches.images_per_second()


def ours(network: nn.Module, batches: Batches, steps: int, device: str) -> float:
    """segkit's loop."""
    batches.stamps.clear()
    with tempfile.TemporaryDirectory() as folder:
        fit(
            Outputs(network),
            PixelTask("segment", create_loss("ce_dice", NUM_CLASSES)),
            loader_of(batches, steps),
            lambda _: {"score": 0.0},
            lambda _model, _scores: None,
            TrainingConfig(epochs=1, batch_size=len(batches.batches[0]["image"]), workers=0),
            Path(folder),
            device,
            console=Console(quiet=True),
        )
    return batches.images_per_second()


def rounds(count: int, batches: Batches, steps: int, device: str) -> Iterator[tuple[float, float]]:
    networks = create_network(), create_network()
    for _ in range(count):
        yield usual(networks[0], batches, steps, device), ours(networks[1], batches, steps, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=8, help="steps of each loop per round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    batches = Batches(4, options.batch_size, options.size)
    measured = list(rounds(options.rounds, batches, options.steps, options.device))
    plain, segkit = (statistics.median(column) for column in zip(*measured, strict=True))
    title = f"U-Net/ResNet-34, {options.size}x{options.size}, batch {options.batch_size}, {options.device}"
    table = Table("loop", "images/s", title=f"{title}, median of {options.rounds} rounds")
    table.add_row("usual: fp32, channels first, unfused AdamW", f"{plain:.2f}")
    table.add_row("segkit", f"{segkit:.2f}")
    table.add_row("ratio, median of the rounds", f"{statistics.median(b / a for a, b in measured):.2f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
