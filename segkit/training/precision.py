"""Which arithmetic a device computes fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from segkit.errors import UsageError

CPU_BF16 = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")
"""CPU features that compute bf16 products in hardware: Intel and AMD, then ARM."""


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
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Precision("bf16", f"{torch.cuda.get_device_name(device)} has it in hardware")
        return Precision("fp32", f"{torch.cuda.get_device_name(device)} has no bf16 in hardware")
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        found = next((feature for feature in CPU_BF16 if features.get(feature)), None)
        return (
            Precision("bf16", f"this CPU has {found}")
            if found
            else Precision("fp32", "this CPU has no bf16 in hardware")
        )
    return Precision("fp32", f"the only one on {device.type}")
