"""PyTorch as the engine, and which device and arithmetic this machine has for it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segkit.errors import SegkitError, UsageError

Precision = Literal["fp32", "bf16"]

CPU_BF16 = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")
"""CPU features that compute bf16 products in hardware: Intel and AMD, then ARM."""


class TorchEngine:
    """Runs a PyTorch model in evaluation mode, channels-last, without gradients.

    The model itself is moved and set to evaluation mode, not a copy; it returns logits by head.

    Args:
        model: from images (N, C, H, W) to a dictionary of logits.
        device: as PyTorch names it; `resolve_device` checks what a user asked for.
        precision: bf16 runs under autocast; the logits come back as float32 either way.
    """

    def __init__(self, model: nn.Module, device: str | torch.device = "cpu", precision: Precision = "fp32") -> None:
        self.device = torch.device(device)
        self.precision = precision
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.description = f"torch, {self.device}, {precision}"

    @torch.inference_mode()
    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Images (N, C, H, W) float32 to logits by head; raises `SegkitError` when the device's memory is too small."""
        self.model.eval()
        batch = torch.from_numpy(images).to(self.device).contiguous(memory_format=torch.channels_last)
        try:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                outputs = self.model(batch)
        except torch.OutOfMemoryError:
            height, width = images.shape[-2:]
            raise SegkitError(
                f"{self.device} has not enough memory for {len(images)} x {height} x {width} pixels; "
                "close other programs that use it, or use '--device cpu'"
            ) from None
        return {head: logits.float().contiguous().cpu().numpy() for head, logits in outputs.items()}


def resolve_device(name: str = "auto") -> torch.device:
    """The device a user asked for; `auto` takes CUDA, else Apple's MPS, else the CPU.

    Raises `UsageError` when the name is none of `auto | cpu | cuda | cuda:N | mps` or this machine lacks the device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise UsageError(
                "'--device mps' needs an Apple GPU and PyTorch finds none here; use '--device auto' or 'cpu'"
            )
        return torch.device("mps")
    kind, _, index = name.partition(":")
    if kind != "cuda" or (name != "cuda" and not index.isdecimal()):
        raise UsageError(f"'--device {name}' is no device; allowed: auto, cpu, cuda, cuda:1 (the second GPU), mps")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(index or 0) >= count:
        found = f"only {count}" if count else "none"
        raise UsageError(
            f"'--device {name}': PyTorch finds {found} of NVIDIA's GPUs here; use '--device auto' or 'cpu'"
        )
    return torch.device(name)


def bf16_hardware(device: torch.device) -> str | None:
    """What computes bfloat16 in hardware on the device, so that it is faster and not merely possible; None: nothing."""
    if device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.cuda.get_device_name(device) if supported else None
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        return next((feature for feature in CPU_BF16 if features.get(feature)), None)
    return None
