"""Local response normalization against the paper's formula and torch's layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segkit.models.layers.lrn import LocalResponseNorm


def random_map(channels: int) -> Tensor:
    # Large values, so that the sum counts beside k.
    return 100 * torch.randn(2, channels, 3, 4, generator=torch.Generator().manual_seed(0))


def equation_1(a: NDArray[np.float64], n: int, alpha: float, beta: float, k: float) -> NDArray[np.float64]:
    """Krizhevsky et al. 2012, section 3.3, letter by letter."""
    b = np.empty_like(a)
    count = a.shape[1]
    for i in range(count):
        low, high = max(0, i - n // 2), min(count - 1, i + n // 2)
        total = sum(a[:, j] ** 2 for j in range(low, high + 1))
        b[:, i] = a[:, i] / (k + alpha * total) ** beta
    return b


@pytest.mark.parametrize("channels", [1, 3, 5, 12])
def test_the_default_is_the_papers_formula(channels: int) -> None:
    x = random_map(channels)
    expected = equation_1(x.numpy().astype(np.float64), n=5, alpha=1e-4, beta=0.75, k=2)
    np.testing.assert_allclose(LocalResponseNorm()(x).numpy(), expected, rtol=1e-5)


def test_other_constants_enter_where_the_formula_has_them() -> None:
    x = random_map(8)
    expected = equation_1(x.numpy().astype(np.float64), n=3, alpha=0.02, beta=0.5, k=1)
    given = LocalResponseNorm(size=3, alpha=0.02, beta=0.5, k=1)(x).numpy()
    np.testing.assert_allclose(given, expected, rtol=1e-5)


def test_torchs_layer_is_the_same_with_alpha_times_n_gradients_included() -> None:
    ours, theirs = random_map(9).requires_grad_(), random_map(9).requires_grad_()
    first = LocalResponseNorm()(ours)
    second = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2)(theirs)
    torch.testing.assert_close(first, second)
    weights = torch.randn(first.shape, generator=torch.Generator().manual_seed(1))
    (first * weights).sum().backward()
    (second * weights).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_an_even_window_has_no_middle_and_is_refused() -> None:
    with pytest.raises(ValueError, match="size must be odd, so that the channel itself is in the middle; given 4"):
        LocalResponseNorm(size=4)


def test_bfloat16_and_channels_last_stay_and_the_sum_is_exact() -> None:
    x = random_map(8).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    given = LocalResponseNorm()(x)
    assert given.dtype == torch.bfloat16
    assert given.is_contiguous(memory_format=torch.channels_last)
    # Rounded once, at the end.
    torch.testing.assert_close(given, LocalResponseNorm()(x.float()).to(torch.bfloat16), rtol=0, atol=0)
