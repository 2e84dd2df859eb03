"""MNIST as tensors in memory, and the training loop of the benchmarks on it.

A sample here is too small for a loader: at several thousand images a second the loop takes its batches from one tensor.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmarks._data import find
from segkit.data.readers.idx import idx_files, open_idx

VALIDATION = 10_000
"""Training images, the last, on which choices are made."""

BACKGROUND, INK = -0.1, 1.175
"""What 0 and 255 become (LeCun et al. 1998, section II-B): roughly zero mean and unit variance."""

Augment = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Digits:
    """Images (N, 1, H, W) float32, and their labels (N,) int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, part: slice | Tensor) -> Digits:
        return Digits(self.images[part], self.labels[part])


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: SGD, its learning rate rising to `learning_rate` and falling to zero where cyclic.

    Attributes:
        epochs: passes over the images.
        batch_size: images per step; an incomplete last batch is left out.
        learning_rate: the highest of the cycle, or the constant one.
        momentum: of SGD.
        weight_decay: of all parameters, added to the gradient.
        one_cycle: whether the learning rate follows one cycle (Smith 2018).
        augment: what is done to the images of an epoch, in the order in which they are drawn.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 0.0
    one_cycle: bool = True
    augment: Augment | None = None


def arguments(description: str | None, seeds: int = 3) -> argparse.ArgumentParser:
    """The options every benchmark on MNIST has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the unpacked data set; else found through SEGKIT_DATASETS")
    parser.add_argument("--seeds", type=int, default=seeds, help="number of trainings of each (%(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, help="of torch; batches so small gain little from more (%(default)s)"
    )
    return parser


def load(given: Path | None, border: int = 0) -> tuple[Digits, Digits]:
    """The 60,000 training and 10,000 test images in the paper's scale, with `border` pixels of background around."""
    images, labels = idx_files(find("mnist", given))
    train, test = (digits(open_idx(images[part], 3), open_idx(labels[part], 1), border) for part in ("train", "t10k"))
    return train, test


def digits(images: NDArray[np.uint8], labels: NDArray[np.uint8], border: int = 0) -> Digits:
    """Stored images (N, H, W) and labels (N,) as tensors in the paper's scale."""
    scaled = torch.from_numpy(images.astype(np.float32))[:, None] * ((INK - BACKGROUND) / 255) + BACKGROUND
    padded = functional.pad(scaled, (border, border, border, border), value=BACKGROUND)
    return Digits(padded, torch.from_numpy(labels.astype(np.int64)))


def train(network: nn.Module, data: Digits, recipe: Recipe, seed: int) -> Iterator[tuple[int, Tensor]]:
    """Train `network`, which gives logits or a model's outputs; yields the number of every step done, and its loss.

    The order of the images and their distortions depend on the seed alone.
    """
    generator = torch.Generator().manual_seed(seed)
    steps = len(data) // recipe.batch_size
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, fused=True
    )
    schedule = None
    if recipe.one_cycle:
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, cycle_momentum=False
        )
    network.train()
    for epoch, drawn in enumerate(_epochs(data, recipe, generator)):
        for step in range(steps):
            batch = drawn[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            loss = functional.cross_entropy(logits_of(network, batch.images), batch.labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule is not None:
                schedule.step()
            yield epoch * steps + step + 1, loss.detach()


def _epochs(data: Digits, recipe: Recipe, generator: torch.Generator) -> Iterator[Digits]:
    """The images of every epoch, shuffled and distorted; a thread makes the next ones while these are trained on."""

    def draw() -> Digits:
        drawn = data[torch.randperm(len(data), generator=generator)]
        return Digits(recipe.augment(drawn.images, generator), drawn.labels) if recipe.augment else drawn

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(draw)
        for remaining in reversed(range(recipe.epochs)):
            drawn = coming.result()
            if remaining:
                coming = pool.submit(draw)
            yield drawn


def logits_of(network: nn.Module, images: Tensor) -> Tensor:
    """Class logits (N, K), of segkit's models and of plain torch modules."""
    outputs = network(images)
    return outputs if isinstance(outputs, Tensor) else outputs["classify"]


@torch.inference_mode()
def error_rate(network: nn.Module, data: Digits, batch_size: int = 1000) -> float:
    """Share of the images whose class has not the largest logit; leaves the network in training mode."""
    network.eval()
    wrong = 0
    for start in range(0, len(data), batch_size):
        batch = data[start : start + batch_size]
        wrong += int((logits_of(network, batch.images).argmax(dim=1) != batch.labels).sum())
    network.train()
    return wrong / len(data)


def distort(images: Tensor, generator: torch.Generator, chunk: int = 4096) -> Tensor:
    """Random planar affine distortions, another one for each image (N, 1, H, W).

    As in LeCun et al. 1998, section III-A: translation, scaling, squeezing (narrower and higher, or the reverse) and
    horizontal shearing. The paper gives no amounts.
    """
    parts = [_distort(part, generator) for part in images.split(chunk)]
    return torch.cat(parts)


TRANSLATION, SCALE, SQUEEZE, SHEAR = 2.0, 0.15, 0.15, 0.3
"""Largest shift in pixels, change of size, change of one side against the other, and sideways shift per row."""


def _distort(images: Tensor, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape

    def uniform(limit: float) -> Tensor:
        return limit * (2 * torch.rand(count, generator=generator) - 1)

    scale, squeeze, shear = uniform(SCALE).exp(), uniform(SQUEEZE).exp(), uniform(SHEAR)
    across, down = uniform(TRANSLATION) * 2 / width, uniform(TRANSLATION) * 2 / height
    zero = torch.zeros(count)
    # Where in the image each pixel of the result comes from, in units of half an image.
    rows = (scale * squeeze, shear, across, zero, scale / squeeze, down)
    grid = functional.affine_grid(torch.stack(rows, dim=1).view(count, 2, 3), list(images.shape), align_corners=False)
    # Outside there is background, which is not zero.
    return functional.grid_sample(images - BACKGROUND, grid, align_corners=False) + BACKGROUND


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started
