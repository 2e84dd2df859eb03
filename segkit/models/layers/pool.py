"""Pooling by name; every pool halves a map."""

from __future__ import annotations

from typing import Literal

from torch import nn

PoolName = Literal["max", "overlapping_max", "average", "lp"]


def create_pool(name: PoolName, *, return_indices: bool = False) -> nn.Module:
    """The pool called `name`, which brings H rows to H // 2, or to ceil(H / 2) where its windows overlap.

    - `max`, `average`, `lp`: 2 x 2 windows, stride 2; an odd last row or column is dropped. `lp` is the root of the sum
      of squares (the Lp pool of Sermanet et al. 2012 with P = 2 and equal weights).
    - `overlapping_max`: 3 x 3 windows, stride 2 (Krizhevsky et al. 2012, section 3.4), padded so that every pixel lies
      in a window.

    Either way |h - H / stride| < 1 holds after any number of pools of one kind.

    Args:
        name: which pool.
        return_indices: whether to return the indices of the maxima too; only of `max`, whose windows share no pixel.
    """
    if return_indices and name != "max":
        raise ValueError(f"pool {name!r} has no indices that lead back; only 'max' has")
    match name:
        case "max":
            return nn.MaxPool2d(2, return_indices=return_indices)
        case "overlapping_max":
            return nn.MaxPool2d(3, stride=2, padding=1)
        case "average":
            return nn.AvgPool2d(2)
        case "lp":
            return nn.LPPool2d(2, 2)


def pooled_side(name: PoolName, side: int, count: int) -> int:
    """Rows (or columns) that `count` pools called `name` leave of `side`."""
    for _ in range(count):
        side = (side + 1) // 2 if name == "overlapping_max" else side // 2
    return side
