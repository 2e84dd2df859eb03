"""A network, data and a run small enough to train in a second; as a script, a run that can be killed."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from segkit.data.loader import Draw, EpochSampler, training_loader
from segkit.errors import SegkitError
from segkit.losses import create_loss
from segkit.tasks import PixelTask, Task
from segkit.training import TrainingConfig
from segkit.training.fit import FitResult, fit


class TinyNet(nn.Module):
    """Two convolutions with what makes resuming hard: batch norm (buffers) and dropout (random numbers)."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Dropout2d(0.3),
            nn.Conv2d(width, 2, 3, padding=1),
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"segment": self.layers(images)}


class Squares(Dataset[dict[str, Tensor]]):
    """Bright squares on noise; a sample is a function of its draw."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        time.sleep(self.delay)
        random = torch.Generator().manual_seed(1000 * draw.epoch + draw.position)
        mask = torch.zeros(16, 16, dtype=torch.int64)
        top, left = torch.randint(0, 10, (2,), generator=random).tolist()
        mask[top : top + 6, left : left + 6] = 1
        image = mask[None] + 0.5 * torch.randn(1, 16, 16, generator=random)
        return {"image": image, "mask": mask, "label": torch.tensor(int(top > left))}


def tiny_loader(
    batch_size: int = 4, draws: int = 28, workers: int = 0, delay: float = 0.0
) -> DataLoader[dict[str, Tensor]]:
    # Forked, so that a worker of a process that was not forked itself need not import torch again.
    return training_loader(Squares(delay), EpochSampler(draws, draws, seed=0), batch_size, workers, start_method="fork")


def tiny_net(width: int = 8) -> TinyNet:
    torch.manual_seed(0)
    return TinyNet(width)


def overlap(model: nn.Module) -> dict[str, float]:
    """Dice of class 1 on a fixed batch."""
    samples = [Squares()[Draw(99, position, position)] for position in range(8)]
    with torch.inference_mode():
        logits = model(torch.stack([sample["image"] for sample in samples]).to(next(model.parameters()).device))
    predicted = logits["segment"].argmax(1).cpu()
    mask = torch.stack([sample["mask"] for sample in samples])
    dice = 2 * (predicted * mask).sum() / (predicted.sum() + mask.sum())
    return {"score": float(dice), "pixels": float(predicted.sum())}


def keep_nothing(model: nn.Module, scores: Mapping[str, float]) -> None:
    """An `on_best` for runs whose model is not needed."""


def run(
    folder: Path,
    config: TrainingConfig,
    model: nn.Module | None = None,
    loader: DataLoader[dict[str, Tensor]] | None = None,
    validate: Callable[[nn.Module], Mapping[str, float]] = overlap,
    on_best: Callable[[nn.Module, Mapping[str, float]], None] = keep_nothing,
    resume: bool = False,
    started: float | None = None,
    console: Console | None = None,
    task: Task | None = None,
) -> FitResult:
    return fit(
        model if model is not None else tiny_net(),
        task if task is not None else PixelTask("segment", create_loss(config.loss, 2)),
        loader if loader is not None else tiny_loader(config.batch_size, workers=config.workers),
        validate,
        on_best,
        config,
        folder,
        "cpu",
        resume=resume,
        started=started,
        console=console if console is not None else Console(quiet=True),
    )


def main(arguments: list[str] | None = None) -> NoReturn:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("config", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds per sample, so that a kill hits the middle")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    os.setpgid(0, 0)  # as a shell does, so that a signal to the group reaches the loader's processes and no others
    config = TrainingConfig.from_yaml(options.config)
    model = tiny_net()
    loader = tiny_loader(config.batch_size, workers=config.workers, delay=options.delay)
    try:
        run(options.folder, config, model, loader, resume=options.resume, console=Console(stderr=True))
    except SegkitError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    torch.save(model.state_dict(), options.folder / "final.pt")
    sys.exit(0)


if __name__ == "__main__":
    main()
