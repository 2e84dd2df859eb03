from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from segkit.metrics import sign_flip_p
from segkit.metrics.permutation import RESAMPLES


def scipys(differences: np.ndarray, resamples: float) -> float:
    found = stats.permutation_test(
        (differences,), lambda d, axis: d.mean(axis=axis), permutation_type="samples", n_resamples=resamples, rng=0
    )
    return float(found.pvalue)


def test_by_hand() -> None:
    # Sums of +-1 +-2 +-3: 6 and -6 are as far from 0 as 6, two of eight.
    assert sign_flip_p(np.array([1.0, 2.0, 3.0])) == 2 / 8
    # -1 + 2 + 3 = 4: so are 6, 4, -4 and -6.
    assert sign_flip_p(np.array([-1.0, 2.0, 3.0])) == 4 / 8
    assert sign_flip_p(np.array([0.5])) == 1
    assert sign_flip_p(np.zeros(5)) == 1


@pytest.mark.parametrize("units", [2, 7, 12, 16])
def test_exact_as_scipy(units: int) -> None:
    for seed in range(3):
        differences = np.random.default_rng(seed).normal(0.3, 1, units).round(1)  # rounded: with ties
        assert sign_flip_p(differences) == pytest.approx(scipys(differences, np.inf))


def test_random_above_as_scipy() -> None:
    for seed in range(3):
        differences = np.random.default_rng(seed).normal(0.2, 1, 60)
        assert sign_flip_p(differences) == pytest.approx(scipys(differences, 50_000), abs=0.01)
    assert sign_flip_p(np.ones(60)) == 1 / (RESAMPLES + 1)
    assert sign_flip_p(differences) == sign_flip_p(differences)


def test_few_false_alarms_where_nothing_differs() -> None:
    generator = np.random.default_rng(1)
    found = [sign_flip_p(generator.standard_t(3, 12)) for _ in range(200)]
    assert 0.01 < np.mean(np.array(found) <= 0.05) < 0.1
