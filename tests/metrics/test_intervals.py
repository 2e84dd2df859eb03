from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from segkit.metrics import bootstrap_interval, bootstrap_intervals
from segkit.metrics.region import class_dice, region_sums


def _mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return sums[:, 0] / sums[:, 1]


def _values_and_counts(units: int, seed: int = 0) -> NDArray[np.float64]:
    return np.stack([np.random.default_rng(seed).normal(0.8, 0.1, units), np.ones(units)], axis=1)


def test_equals_scipy_percentile_bootstrap() -> None:
    sums = _values_and_counts(60)
    interval = bootstrap_interval(sums, _mean)
    expected = stats.bootstrap((sums[:, 0],), np.mean, n_resamples=20_000, method="percentile", rng=1)
    assert interval is not None
    assert interval == pytest.approx(expected.confidence_interval, abs=0.002)


def test_near_the_normal_interval_of_a_mean() -> None:
    sums = _values_and_counts(400)
    interval = bootstrap_interval(sums, _mean)
    half_width = 1.96 * sums[:, 0].std() / np.sqrt(400)
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(2 * half_width, rel=0.06)


def test_no_interval_below_ten_units() -> None:
    assert bootstrap_interval(_values_and_counts(9), _mean) is None
    assert bootstrap_interval(_values_and_counts(10), _mean) is not None


def test_seed_decides() -> None:
    sums = _values_and_counts(30)
    assert bootstrap_interval(sums, _mean, seed=3) == bootstrap_interval(sums, _mean, seed=3)
    assert bootstrap_interval(sums, _mean, seed=3) != bootstrap_interval(sums, _mean, seed=4)


def test_equal_units_leave_no_doubt() -> None:
    assert bootstrap_interval(np.tile([0.25, 1.0], (12, 1)), _mean) == (0.25, 0.25)


def test_groups_widen_the_interval() -> None:
    """Twenty correlated images of each of twelve patients are worth twelve observations, not 240."""
    patients = np.random.default_rng(5).normal(0.7, 0.1, 12)
    images = np.repeat(patients, 20)
    by_image = bootstrap_interval(np.stack([images, np.ones(240)], axis=1), _mean)
    by_patient = bootstrap_interval(np.stack([patients * 20, np.full(12, 20)], axis=1), _mean)
    assert by_image is not None
    assert by_patient is not None
    assert (by_patient.high - by_patient.low) > 3 * (by_image.high - by_image.low)


def test_resampled_confusions_cover_the_truth() -> None:
    """In about 95 of 100 repetitions the interval holds the Dice of the population the units were drawn from."""
    generator = np.random.default_rng(11)
    truth = class_dice(np.array([[0.0, 700], [0, 1000], [0, 1000]]))[1]
    covered = 0
    for _ in range(100):
        hits = generator.binomial(1000, generator.beta(14, 6, 40))
        confusions = np.stack([[[0, 1000 - h], [1000 - h, h]] for h in hits])
        intervals = bootstrap_intervals(region_sums(confusions), class_dice)
        assert intervals is not None
        covered += intervals[1].low <= truth <= intervals[1].high
    assert 88 <= covered <= 100


def test_score_missing_from_every_resample_is_nan() -> None:
    intervals = bootstrap_intervals(region_sums(np.tile(np.diag([4, 0]), (10, 1, 1))), class_dice)
    assert intervals is not None
    assert intervals[0] == (1.0, 1.0)
    assert np.isnan(intervals[1]).all()
