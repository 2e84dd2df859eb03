"""How many devices a run computes on, and what each of its processes takes of it."""

from __future__ import annotations

import torch

from segkit.errors import UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.sampling import Reason
from segkit.inference.engines.torch import resolve_device
from segkit.training.config import TrainingConfig


def process_count(config: ExperimentConfig) -> int:
    """The processes that train, on all machines together."""
    return config.devices * config.nodes


def choose_device(config: ExperimentConfig, rank: int = 0) -> torch.device:
    """Where the process `rank` computes; raises `UsageError` where there are not as many devices."""
    device = resolve_device(config.device)
    if process_count(config) == 1:
        return device
    if device.type == "mps" or device.index is not None:
        raise UsageError(f"--devices {config.devices} cannot all be {device}; use '--device cuda' or '--device cpu'")
    if device.type != "cuda":
        return device
    found = torch.cuda.device_count()
    if config.devices > found:
        raise UsageError(f"--devices {config.devices}: PyTorch finds {found} of NVIDIA's GPUs here")
    return torch.device("cuda", rank % config.devices)


def share_batches(
    given: TrainingConfig, planned: TrainingConfig, config: ExperimentConfig, draws: int
) -> tuple[TrainingConfig, list[Reason]]:
    """The planned training with batches that can be shared among all processes, and what each has of them.

    A batch is one step of all processes together: the same learning rate and number of steps suit any number of them.

    Args:
        given: what was asked for.
        planned: the plan for one process.
        config: the run.
        draws: crops of an epoch.
    """
    count, asked = process_count(config), "batch_size" in given.model_fields_set
    if count == 1:
        return planned, []
    if asked and planned.batch_size % count:
        raise UsageError(
            f"batches of {planned.batch_size} cannot be shared evenly among {count} processes; "
            f"use a '--batch-size' that is a multiple of {count}"
        )
    if draws < count:
        raise UsageError(f"an epoch of {draws} crops is too short for {count} processes; use fewer '--devices'")
    share = -(-planned.batch_size // count)
    choice = f"{count} processes, {share} images of each batch in each"
    reason = "as asked; batch norms see the images of their own process"
    return planned.model_copy(update={"batch_size": share * count}), [(choice, reason)]
