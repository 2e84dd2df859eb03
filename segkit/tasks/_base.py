"""What a task is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn


class Task(nn.Module):
    """Knows which output of a model answers which target of a batch.

    A module, so that the class weights of its loss follow the network to its device.
    """

    def mix(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A training batch as the network and the loss are to see it; what it draws is torch's, set for every step."""
        return batch

    @abstractmethod
    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The model's outputs by head and the batch they belong to, to scalars.

        `"loss"` is minimised; other keys are its parts, for the log only.
        """
