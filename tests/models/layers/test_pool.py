"""Pools against hand-computed values."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from segkit.models.layers.pool import PoolName, create_pool, pooled_side

NAMES: tuple[PoolName, ...] = get_args(PoolName)
TABLE = torch.tensor([[[[1.0, 3.0, 0.0, 4.0], [5.0, -7.0, 3.0, 0.0], [2.0, 0.0, 0.0, 0.0], [2.0, -1.0, 0.0, 0.0]]]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max", [[5, 4], [2, 0]]),
        # Windows of 3 x 3 around (0, 0), (0, 2), (2, 0) and (2, 2); outside the map nothing is seen.
        ("overlapping_max", [[5, 4], [5, 3]]),
        ("average", [[0.5, 1.75], [0.75, 0]]),
        ("lp", [[84**0.5, 5], [3, 0]]),
    ],
)
def test_values_computed_by_hand(name: PoolName, expected: list[list[float]]) -> None:
    torch.testing.assert_close(
        create_pool(name)(TABLE)[0, 0], torch.tensor(expected, dtype=torch.float32), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("name", NAMES)
def test_maps_keep_to_their_stride_at_every_size(name: PoolName) -> None:
    pool = create_pool(name)
    for side in (16, 17, 23, 31, 37):
        x = torch.zeros(1, 1, side, side + 1)
        for count in range(1, 5):
            x = pool(x)
            assert all(
                abs(have - whole / 2**count) < 1 for have, whole in zip(x.shape[2:], (side, side + 1), strict=True)
            )
            assert x.shape[2] == pooled_side(name, side, count)


def test_indices_name_the_pixels_of_the_maxima() -> None:
    pooled, indices = create_pool("max", return_indices=True)(TABLE)
    assert indices.tolist() == [[[[4, 3], [8, 10]]]]
    assert pooled.tolist() == [[[[5, 4], [2, 0]]]]


def test_only_windows_that_share_no_pixel_have_indices() -> None:
    with pytest.raises(ValueError, match="'overlapping_max' has no indices that lead back; only 'max' has"):
        create_pool("overlapping_max", return_indices=True)


def test_the_lp_pool_of_zeros_has_a_gradient_of_zero() -> None:
    x = torch.tensor([[[[0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 4.0]]]], requires_grad=True)
    create_pool("lp")(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad[0, 0], torch.tensor([[0.0, 0.0, 0.6, 0.0], [0.0, 0.0, 0.0, 0.8]]))
