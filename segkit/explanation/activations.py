"""What the filters of a network look like, and how its layers answer to an image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segkit.explanation.subject import Subject
from segkit.models.model import Model

_CONVOLUTIONS = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class Activation:
    """What one layer answers.

    Attributes:
        name: path of its convolution in the network.
        maps: (C, h, w), behind the normalization and activation that follow the convolution.
    """

    name: str
    maps: NDArray[np.float32]

    def strongest(self, count: int) -> NDArray[np.intp]:
        """The channels of the largest mean absolute value, strongest first."""
        strength = np.abs(self.maps).mean(axis=(1, 2))
        return np.argsort(-strength, kind="stable")[:count]


def first_filters(network: Model) -> NDArray[np.float32]:
    """The filters (out, in, k, k) of the first convolution whose filters are larger than one pixel."""
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.Conv2d) and isinstance(weight, Tensor) and weight.shape[-1] > 1:
            filters: NDArray[np.float32] = weight.detach().float().cpu().numpy()
            return filters
    return np.zeros((0, network.config.in_channels, 1, 1), np.float32)


@torch.no_grad()
def activations(subject: Subject) -> list[Activation]:
    """What every convolution answers to the image, in the order of computation."""
    found: list[tuple[str, Tensor]] = []
    with _listening(subject.network, found):
        subject.logits(subject.batch)
    return [Activation(name, maps[0].cpu().numpy()) for name, maps in found]


@contextmanager
def _listening(network: nn.Module, found: list[tuple[str, Tensor]]) -> Iterator[None]:
    """Keep the output of every convolution, and in its place what the layers behind it make of it."""

    def hear(module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor) or output.ndim != 4:
            return
        if isinstance(module, _CONVOLUTIONS):
            found.append((names[module], output.clone()))
        elif found and output.shape == found[-1][1].shape:
            found[-1] = found[-1][0], output.clone()

    names = {module: name for name, module in network.named_modules()}
    leaves = [module for module in names if next(module.children(), None) is None]
    handles = [module.register_forward_hook(hear) for module in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
