"""What the filters of a network look like, and how its layers answer to an image."""

from __future__ import annotations

from collections.abc import Collection
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
        shape: channels, height and width of its answer.
        maps: (n, h, w), the channels of the largest mean absolute value, strongest first, behind the normalization and
            activation that follow the convolution.
    """

    name: str
    shape: tuple[int, int, int]
    maps: NDArray[np.float32]


def first_filters(network: Model) -> NDArray[np.float32]:
    """The filters (out, in, k, k) of the first convolution whose filters are larger than one pixel."""
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.Conv2d) and isinstance(weight, Tensor) and weight.shape[-1] > 1:
            filters: NDArray[np.float32] = weight.detach().float().cpu().numpy()
            return filters
    return np.zeros((0, network.config.in_channels, 1, 1), np.float32)


@torch.no_grad()
def convolutions(subject: Subject) -> list[str]:
    """The convolutions that run on the image, in the order of computation."""
    listener = _Listener(subject.network, (), 0)
    listener.listen(subject)
    return listener.names


@torch.no_grad()
def activations(subject: Subject, wanted: Collection[int], most: int) -> list[Activation]:
    """The `most` strongest maps of those convolutions, `wanted` being positions among `convolutions`.

    Nothing else is kept: all maps of a large image would take more memory than the network itself.
    """
    listener = _Listener(subject.network, wanted, most)
    listener.listen(subject)
    return listener.found


class _Listener:
    """Hears every convolution, and in its place what the layers behind it make of its output."""

    def __init__(self, network: nn.Module, wanted: Collection[int], most: int) -> None:
        self.names: list[str] = []
        self.found: list[Activation] = []
        self._names = {module: name for name, module in network.named_modules()}
        self._wanted, self._most = wanted, most
        self._shape: torch.Size | None = None
        self._last: Tensor | None = None

    def listen(self, subject: Subject) -> None:
        """Run the network once."""
        leaves = [module for module in self._names if next(module.children(), None) is None]
        handles = [module.register_forward_hook(self._hear) for module in leaves]
        try:
            subject.logits(subject.batch)
        finally:
            for handle in handles:
                handle.remove()
        self._keep()

    def _hear(self, module: nn.Module, _inputs: object, output: object) -> None:
        if not isinstance(output, Tensor) or output.ndim != 4:
            return
        if isinstance(module, _CONVOLUTIONS):
            self._keep()
            self.names.append(self._names[module])
        elif output.shape != self._shape:
            return
        self._shape = output.shape
        if len(self.names) - 1 in self._wanted:
            self._last = output.clone()  # what follows may write into it

    def _keep(self) -> None:
        """The strongest maps of the convolution heard last, now that nothing else comes behind it."""
        if self._last is None:
            return
        maps = self._last[0]
        order = maps.abs().mean(dim=(1, 2)).argsort(descending=True, stable=True)[: self._most]
        channels, height, width = maps.shape
        self.found.append(Activation(self.names[-1], (channels, height, width), maps[order].cpu().numpy()))
        self._last = None
