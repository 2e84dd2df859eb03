"""The learning rate over a run."""

from __future__ import annotations

import pytest
import torch

from segkit.training.schedule import learning_rate_factor


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0.0, 0.0), (0.05, 0.5), (0.1, 1.0), (0.325, (1 + 2**-0.5) / 2), (0.55, 0.5), (1.0, 0.0), (1.2, 0.0)],
)
def test_values_computed_by_hand(progress: float, factor: float) -> None:
    assert learning_rate_factor(progress, warmup=0.1) == pytest.approx(factor, abs=1e-12)


def test_without_warm_up_it_is_torchs_cosine() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20)
    for step in range(20):
        assert learning_rate_factor(step / 20, warmup=0.0) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-9)
        optimizer.step()
        scheduler.step()
