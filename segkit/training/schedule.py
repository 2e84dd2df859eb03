"""The learning rate over a run."""

from __future__ import annotations

import math


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Share of the highest learning rate at `progress` of the run, both 0 to 1.

    A straight line from 0 to 1 during the first `warmup` of the run, then half a cosine down to 0
    (Loshchilov & Hutter, SGDR, 2017, equation 5, without restarts).
    """
    if progress < warmup:
        return progress / warmup
    return (1 + math.cos(math.pi * (min(progress, 1.0) - warmup) / (1 - warmup))) / 2
