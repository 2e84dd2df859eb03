"""Activations and dropout against their formulae, computed in numpy with float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import Dim, export

from segkit.models.layers.activation import ActivationName, create_activation, input_channels
from segkit.models.layers.conv import ConvNormActivation, ConvStyle

Function = Callable[[NDArray[np.float64]], NDArray[np.float64]]
FORMULAE: dict[ActivationName, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "prelu": lambda x: np.where(x > 0, x, np.array([0.125, 0.25, 0.5, 0.75]).reshape(1, 4, 1, 1) * x),
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": lambda x: (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x)),
    "maxout": lambda x: np.stack([np.maximum(x[:, 0], x[:, 1]), np.maximum(x[:, 2], x[:, 3])], axis=1),
}


def test_every_name_has_a_formula_here() -> None:
    assert set(FORMULAE) == set(get_args(ActivationName))


@pytest.mark.parametrize("name", FORMULAE)
def test_activation_equals_its_formula(name: ActivationName) -> None:
    x = np.random.default_rng(0).normal(0, 2, (2, 4, 3, 5))
    layer = create_activation(name, 2 if name == "maxout" else 4).double()
    if isinstance(layer, nn.PReLU):
        assert layer.weight.tolist() == [0.25] * 4, "the start of He et al. 2015, section 2.1"
        layer.load_state_dict({"weight": torch.tensor([0.125, 0.25, 0.5, 0.75])})
    given = layer(torch.from_numpy(x.copy())).detach().numpy()
    np.testing.assert_allclose(given, FORMULAE[name](x), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", FORMULAE)
def test_a_block_gives_the_channels_asked_for(name: ActivationName) -> None:
    block = ConvNormActivation(3, 4, style=ConvStyle(activation=name))
    assert block[0].out_channels == input_channels(name, 4) == (8 if name == "maxout" else 4)
    assert block(torch.randn(2, 3, 5, 6)).shape == (2, 4, 5, 6)


def test_dropout_is_inverted_its_expectation_is_the_input() -> None:
    """Kept values are divided by 1 - p, so that prediction needs no factor (Srivastava et al. 2014, section 10)."""
    torch.manual_seed(0)
    layer, x = nn.Dropout(0.3), torch.full((200_000,), 2.0)
    dropped = layer(x)
    assert dropped.unique().tolist() == pytest.approx([0, 2 / 0.7])
    # Standard error of the mean: 2 * sqrt(0.3 / 0.7 / 200000) = 0.0029.
    assert float(dropped.mean()) == pytest.approx(2, abs=0.012)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert torch.equal(layer.eval()(x), x)


def test_maxout_keeps_the_layout_and_sends_the_gradient_to_the_larger_one() -> None:
    values = torch.randn(2, 6, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values[0, 1] = values[0, 0]  # equal ones share the gradient
    x = values.to(memory_format=torch.channels_last).requires_grad_()
    result = create_activation("maxout", 3)(x)
    assert result.is_contiguous(memory_format=torch.channels_last)
    weights = torch.arange(1.0, 1 + result.numel(), dtype=torch.float64).view(2, 3, 4, 5)
    (result * weights).sum().backward()
    pairs, expected = values.numpy().reshape(2, 3, 2, 4, 5), np.zeros((2, 3, 2, 4, 5))
    for which in (0, 1):
        own, other = pairs[:, :, which], pairs[:, :, 1 - which]
        expected[:, :, which] = np.where(own == other, 0.5, own > other) * weights.numpy()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), expected.reshape(2, 6, 4, 5), rtol=0, atol=1e-12)


def test_maxout_exports_with_open_sizes() -> None:
    sizes = ({0: Dim("count"), 2: Dim("height"), 3: Dim("width")},)
    exported = export(create_activation("maxout", 2), (torch.randn(2, 4, 5, 6),), dynamic_shapes=sizes).module()
    x = torch.randn(3, 4, 9, 7)
    assert torch.equal(exported(x), torch.stack([x[:, :2].amax(dim=1), x[:, 2:].amax(dim=1)], dim=1))
