"""When a batch does not fit into the device's memory: find one that does, and say so."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from segkit.errors import SegkitError
from segkit.training.module import TrainingModule
from segkit.training.precision import Precision

COPIES_PER_WEIGHT = 3
"""Copies of each weight that a step keeps besides its gradient: the average, and AdamW's two moments."""


def out_of_memory(
    module: TrainingModule, batch: Mapping[str, Tensor], precision: Precision, device: torch.device, processes: int = 1
) -> SegkitError:
    """The error that names the largest half, quarter, ... of `batch` that the device can train on, found by trying.

    Of several `processes` each has such a batch.
    """
    size, (height, width) = len(batch["image"]), batch["image"].shape[-2:]
    problem = f"a batch of {size} images of {height}x{width} exceeds the memory of {device}"
    tried = size // 2
    while tried > 0 and not _fits(module, {name: values[:tried] for name, values in batch.items()}, precision, device):
        tried //= 2
    if tried > 0:
        return SegkitError(f"{problem}; a batch of {tried} fits: use '--batch-size {tried * processes}'")
    return SegkitError(
        f"{problem}, nor does a single one fit; use a crop of {height // 2}x{width // 2} or a smaller network"
    )


def _fits(module: TrainingModule, batch: Mapping[str, Tensor], precision: Precision, device: torch.device) -> bool:
    """Whether a step on `batch` runs on the device, with as much memory taken as in training."""
    module.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    try:
        module.to(device)
        kept = [parameter.detach().clone() for parameter in module.parameters() for _ in range(COPIES_PER_WEIGHT)]
        with torch.autocast(device.type, torch.bfloat16, enabled=precision.name == "bf16"):
            loss = module.training_step({name: values.to(device) for name, values in batch.items()}, 0)["loss"]
        loss.backward()
        kept.clear()
    except torch.OutOfMemoryError:
        return False
    return True
