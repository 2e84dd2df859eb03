"""Several heads learnt together: the sum of their losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from typing_extensions import override

from segkit.structures import TaskName
from segkit.tasks._base import Task


class CombinedTask(Task):
    """The weighted sum of the losses of heads.

    An image without the target of a head has one of which nothing counts, so that its loss comes from the others.

    Args:
        tasks: the task of every head.
        weights: how much the loss of each counts.
    """

    def __init__(self, tasks: Mapping[TaskName, Task], weights: Mapping[TaskName, float]) -> None:
        super().__init__()
        self.heads = tuple(tasks)
        self.tasks = nn.ModuleList(tasks.values())
        self.weights = tuple(weights[head] for head in tasks)

    @override
    def mix(self, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """As the tasks do, one after the other."""
        for task in self._each():
            batch = task.mix(batch)
        return batch

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`{"loss": scalar}`, and under each head's name its own loss before it is weighted."""
        losses = [task.loss(outputs, batch)["loss"] for task in self._each()]
        weighted = [weight * loss for weight, loss in zip(self.weights, losses, strict=True)]
        parts = {f"{head}_loss": loss.detach() for head, loss in zip(self.heads, losses, strict=True)}
        return {"loss": torch.stack(weighted).sum(), **parts}

    def _each(self) -> Iterator[Task]:
        for task in self.tasks:
            assert isinstance(task, Task)
            yield task
