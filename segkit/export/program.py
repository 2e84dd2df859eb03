"""Running a program of `torch.export` that was just made: never one that was found, which could run code."""

from __future__ import annotations

import io

import numpy as np
import torch
from numpy.typing import NDArray


class ProgramEngine:
    """Runs a program on the CPU.

    Args:
        module: from images (N, C, H, W) to outputs by name.
    """

    description = "torch program, cpu, fp32"

    def __init__(self, module: torch.nn.Module) -> None:
        self._module = module

    @torch.inference_mode()
    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Images (N, C, H, W) float32 to outputs by name."""
        outputs = self._module(torch.from_numpy(images))
        return {name: output.numpy() for name, output in outputs.items()}


def open_program(content: bytes) -> ProgramEngine:
    """The engine of a program whose bytes were written by this process."""
    return ProgramEngine(torch.export.load(io.BytesIO(content)).module())
