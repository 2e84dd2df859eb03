"""What runs a network: arrays in, arrays out, whatever computes them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """Runs one network on prepared images."""

    description: str
    """For people: engine, device and precision, for example `"torch, cpu, bf16"`."""

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Prepared images (N, C, H, W), sizes multiples of the stride, to logits by head.

        `segment` is (N, K, H, W), less twice the model's margin; `classify` is (N, K).
        """
        ...
