"""How long a training step takes here, measured before the run so that the plan can say how long it will be."""

from __future__ import annotations

import copy
import time

import torch
from torch import nn

STEPS = 2
"""Steps timed, after one that is not."""


def seconds_per_step(model: nn.Module, batch: tuple[int, int, int, int], device: torch.device, bf16: bool) -> float:
    """Seconds of one forward and backward pass in training mode, on a copy: the model and its random state stay.

    Args:
        model: images (N, C, H, W) to outputs by head.
        batch: N, C, H, W.
        device: where to compute.
        bf16: whether under autocast to bfloat16.
    """
    network = copy.deepcopy(model).to(device).to(memory_format=torch.channels_last).train()
    images = torch.zeros(batch, device=device).contiguous(memory_format=torch.channels_last)
    times = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for _ in range(1 + STEPS):
            start = time.perf_counter()
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                outputs = network(images)
            sum(output.float().mean() for output in outputs.values()).backward()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - start)
    return sum(times[1:]) / STEPS
