"""What runs a network: arrays in, arrays out, whatever computes them."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segkit.errors import UsageError

EngineName = Literal["torch", "onnxruntime", "openvino"]
"""The packages that compute networks."""

ExportedPrecision = Literal["fp32", "bf16", "fp16", "int8"]
"""The arithmetic of an exported network; a network of PyTorch has the first two."""


class Engine(Protocol):
    """Runs one network on prepared images."""

    description: str
    """For people: engine, device and precision, for example `"torch, cpu, bf16"`."""

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Prepared images (N, C, H, W), sizes multiples of the stride, to outputs by name.

        `segment` are logits (N, K, H, W), less twice the model's margin, `instances` (N, K + 1, H, W), the last of the
        border, and `classify` (N, K). `detect` are logits (N, A, K) at A places, with `detect/boxes` (N, A, 4) in
        pixels of the images and logits `detect/centerness` (N, A). Objects found one by one come for a single image and
        without its axis: `instances/boxes` (M, 4), `instances/labels` (M,), `instances/scores` (M,), and probabilities
        `instances/masks` (M, h, w).
        """
        ...


def is_installed(package: str) -> bool:
    """Whether a package can be imported here."""
    try:
        return find_spec(package) is not None
    except ImportError:
        return False


def require_package(package: str, purpose: str) -> Any:
    """Import an optional package; raises `UsageError` with the command that installs it where it is missing.

    Args:
        package: its name, the same to Python and to pip.
        purpose: what wants it, as the subject of the message.
    """
    if not is_installed(package):
        raise UsageError(f"{purpose} needs {package}, which is not installed; install it with: pip install {package}")
    return importlib.import_module(package)


def reason_of(error: Exception) -> str:
    """The message of another package's error in one line, cut to what a person reads."""
    return " ".join(str(error).split())[:300]
