"""The example of the 1 x 1 reduction: what is counted is what courses print."""

from __future__ import annotations

import pytest
import torch

from benchmarks.one_by_one import CHANNELS, FILTERS, SIDE, milliseconds, networks
from segkit.models.complexity import measure_complexity


@pytest.mark.parametrize(
    ("name", "weights", "multiply_adds"), [("5 x 5", 576_000, 112_896_000), ("1 x 1, then 5 x 5", 26_880, 5_268_480)]
)
def test_counts_are_those_of_the_example(name: str, weights: int, multiply_adds: int) -> None:
    network = networks()[name]
    counted = measure_complexity(network, CHANNELS, (SIDE, SIDE))
    assert (counted.parameters, counted.multiply_adds) == (weights, multiply_adds)
    assert network(torch.zeros(2, CHANNELS, SIDE, SIDE)).shape == (2, FILTERS, SIDE, SIDE)


def test_time_is_per_image(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0] * 3 + [0.0, 0.4, 1.0, 1.2, 2.0, 2.6])  # three passes to warm up, then 0.4, 0.2, 0.6 s
    monkeypatch.setattr("benchmarks.one_by_one.time.perf_counter", lambda: next(clock))
    assert milliseconds(torch.nn.Identity(), batch=4, repeats=3) == pytest.approx(1000 * 0.2 / 4)
