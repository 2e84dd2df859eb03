"""The memory that a training step is expected to take, said before the run, and a batch that fits."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch

from segkit.experiment.sampling import Reason
from segkit.explanation.describe import build_without_weights
from segkit.models.complexity import BYTES, measure_complexity
from segkit.models.config import ModelConfig
from segkit.training.config import TrainingConfig

COPIES = 5
"""Of each weight, as float32: itself, its gradient, the average, and AdamW's two moments."""

GRADIENTS = 1.25
"""What a backward pass takes beside the outputs of all layers, as a factor: the gradients of the few at hand."""

BF16_BYTES = 2

FREE_SHARE = 0.8
"""Share of the memory that a step may take; images, the program itself and other programs take the rest."""


class Sharing(NamedTuple):
    """How many processes share a batch, and how many of them a machine."""

    processes: int = 1
    of_machine: int = 1


def expected_bytes(model: ModelConfig, side: int, batch_size: int, precision: str) -> tuple[int, int]:
    """Bytes of the outputs of all layers that a training step keeps, and of the weights with their copies.

    Args:
        model: the network.
        side: height and width of the images in pixels, without the network's margin.
        batch_size: images of a step.
        precision: `"bf16"` or `"fp32"`.
    """
    network = build_without_weights(model)
    seen = side + 2 * network.margin
    measured = measure_complexity(network, model.in_channels, (seen, seen))
    share = BF16_BYTES / BYTES if precision == "bf16" else 1.0
    return round(measured.memory * share * GRADIENTS) * batch_size, measured.parameters * BYTES * COPIES


def available_bytes(device: torch.device) -> int | None:
    """The GPU's free memory, or the machine's memory; None where it cannot be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu" or "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def fit_to_memory(
    given: TrainingConfig,
    planned: TrainingConfig,
    model: ModelConfig,
    side: int,
    device: torch.device,
    sharing: Sharing = Sharing(),  # noqa: B008, it cannot change
) -> tuple[TrainingConfig, list[Reason]]:
    """The planned training, its batch halved until a step is expected to fit unless it was asked for; and the bytes.

    Of several processes those on the CPU of a machine share its memory, and each has the weights; a GPU has one.
    """
    one, weights = expected_bytes(model, side, 1, planned.precision)
    available, share = available_bytes(device), planned.batch_size // sharing.processes
    together = sharing.of_machine if device.type == "cpu" else 1
    one, weights = one * together, weights * together
    if available is not None and "batch_size" not in given.model_fields_set:
        while share > 1 and one * share + weights > available * FREE_SHARE:
            share //= 2
    batch_size = share * sharing.processes
    choice = f"about {_size(one * share + weights)} of memory for a step"
    reason = f"{_size(one * share)} for layers' outputs, {_size(weights)} for weights and what is kept of each"
    if available is not None:
        whose = "free on the GPU" if device.type == "cuda" else "in the machine"
        reason += f"; {_size(available)} {whose}"
        if one * share + weights > available * FREE_SHARE:
            choice += ", which may not fit"
    if batch_size < planned.batch_size:
        choice += f", with batches of {batch_size} in place of {planned.batch_size}"
    return planned.model_copy(update={"batch_size": batch_size}), [(choice, reason)]


def _size(number: float) -> str:
    return f"{number / 2**30:.1f} GiB" if number >= 2**30 else f"{number / 2**20:.0f} MiB"
