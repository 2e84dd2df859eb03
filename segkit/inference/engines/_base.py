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
        """Prepared images (N, C, H, W), sizes multiples of the stride, to outputs by name.

        `segment` are logits (N, K, H, W), less twice the model's margin, `instances` (N, K + 1, H, W), the last of the
        border, and `classify` (N, K). `detect` are logits (N, A, K) at A places, with `detect/boxes` (N, A, 4) in
        pixels of the images and logits `detect/centerness` (N, A). Objects found one by one come for a single image and
        without its axis: `instances/boxes` (M, 4), `instances/labels` (M,), `instances/scores` (M,), and probabilities
        `instances/masks` (M, h, w).
        """
        ...
