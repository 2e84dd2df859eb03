"""PyTorch as the engine, and which device and arithmetic this machine has for it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from segkit.errors import SegkitError, UsageError

Precision = Literal["fp32", "bf16"]


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


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 in hardware, so that it is faster and not merely possible."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def best_precision(device: torch.device) -> Precision:
    """bf16 where the device has it in hardware, else fp32."""
    return "bf16" if has_bf16(device) else "fp32"
