"""Which arithmetic a device computes fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from segkit.errors import UsageError
from segkit.inference.engines.torch import bf16_hardware


@dataclass(frozen=True)
class Precision:
    """The arithmetic of a training and why it was chosen, in words for people."""

    name: Literal["fp32", "bf16"]
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose_precision(requested: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """The precision asked for, or bf16 where `device` has it in hardware and fp32 elsewhere.

    Raises `UsageError` for bf16 on a device whose torch backend cannot train in it.
    """
    if requested == "bf16" and device.type not in ("cpu", "cuda"):
        raise UsageError(
            f"precision bf16 was given for the device {device.type}, which trains in fp32 only; use '--precision fp32'"
        )
    if requested != "auto":
        return Precision(requested, "as set")
    hardware = bf16_hardware(device)
    if hardware is None:
        return Precision("fp32", f"{device} has no bf16 in hardware")
    return Precision("bf16", f"{device} has it in hardware: {hardware}")
