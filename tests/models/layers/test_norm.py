"""Normalization and weight standardization against their formulae, computed in numpy with float64."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from segkit.models.layers.activation import ActivationName, create_activation
from segkit.models.layers.conv import ConvNormActivation, ConvStyle, StandardizedConv2d
from segkit.models.layers.lrn import LocalResponseNorm
from segkit.models.layers.norm import NormName, create_norm

EPSILON = 1e-5
CHANNELS = 6
Axes = tuple[int, ...]


def maps(seed: int = 0, count: int = 3) -> NDArray[np.float64]:
    """Maps (N, 6, 4, 5) whose channels differ in mean and spread."""
    random = np.random.default_rng(seed)
    scale, shift = random.uniform(0.5, 3, (1, CHANNELS, 1, 1)), random.normal(0, 2, (1, CHANNELS, 1, 1))
    return random.normal(size=(count, CHANNELS, 4, 5)) * scale + shift


def normalized(x: NDArray[np.float64], axes: Axes) -> NDArray[np.float64]:
    mean, variance = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPSILON)


def with_parameters(layer: nn.Module) -> tuple[nn.Module, NDArray[np.float64], NDArray[np.float64]]:
    """The layer in float64 with a random scale and shift, and these as (1, C, 1, 1)."""
    random = np.random.default_rng(9)
    scale, shift = random.normal(1, 0.3, CHANNELS), random.normal(0, 0.3, CHANNELS)
    layer = layer.double()
    layer.load_state_dict({"weight": torch.from_numpy(scale), "bias": torch.from_numpy(shift)}, strict=False)
    return layer, scale.reshape(1, -1, 1, 1), shift.reshape(1, -1, 1, 1)


@pytest.mark.parametrize(("name", "axes"), [("batch", (0, 2, 3)), ("layer", (1, 2, 3)), ("instance", (2, 3))])
def test_normalization_equals_its_formula(name: NormName, axes: Axes) -> None:
    x = maps()
    layer, scale, shift = with_parameters(create_norm(name, CHANNELS))
    given = layer.train()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(given, normalized(x, axes) * scale + shift, rtol=0, atol=1e-12)


def test_group_normalization_equals_its_formula() -> None:
    """gcd(32, 6) = 2 groups of 3 channels."""
    x = maps()
    layer, scale, shift = with_parameters(create_norm("group", CHANNELS))
    grouped = normalized(x.reshape(3, 2, 3, 4, 5), (2, 3, 4)).reshape(x.shape)
    given = layer(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(given, grouped * scale + shift, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (32, 32), (24, 8), (48, 16), (7, 1)])
def test_groups_share_the_channels_evenly(channels: int, groups: int) -> None:
    layer = create_norm("group", channels)
    assert isinstance(layer, nn.GroupNorm)
    assert layer.num_groups == groups


def test_no_normalization_leaves_maps_as_they_are() -> None:
    x = torch.from_numpy(maps())
    assert torch.equal(create_norm("none", CHANNELS)(x), x)


def test_instance_normalization_equals_torchs_own_and_takes_maps_of_one_pixel() -> None:
    x = torch.from_numpy(maps()).float()
    torch.testing.assert_close(create_norm("instance", CHANNELS)(x), nn.InstanceNorm2d(CHANNELS, affine=True)(x))
    single = create_norm("instance", CHANNELS)(x[..., :1, :1])
    torch.testing.assert_close(single, torch.zeros(3, CHANNELS, 1, 1), rtol=0, atol=1e-3)


def test_batch_normalization_keeps_running_estimates_of_the_unbiased_variance() -> None:
    """Lectures: new = alpha * old + (1 - alpha) * batch, alpha = 0.9, with the biased variance; torch: unbiased."""
    alpha = 0.9
    layer = create_norm("batch", CHANNELS).double()
    mean, variance, biased = np.zeros(CHANNELS), np.ones(CHANNELS), np.ones(CHANNELS)
    for seed in range(3):
        x = maps(seed)
        layer(torch.from_numpy(x))
        mean = alpha * mean + (1 - alpha) * x.mean(axis=(0, 2, 3))
        variance = alpha * variance + (1 - alpha) * x.var(axis=(0, 2, 3), ddof=1)
        biased = alpha * biased + (1 - alpha) * x.var(axis=(0, 2, 3))
    assert isinstance(layer, nn.BatchNorm2d)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.momentum == pytest.approx(1 - alpha)
    np.testing.assert_allclose(layer.running_mean.numpy(), mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(layer.running_var.numpy(), variance, rtol=0, atol=1e-12)
    assert np.abs(layer.running_var.numpy() - biased).max() > 1e-3, "60 values a channel: the two differ by 1/59"
    x = maps(7)
    expected = (x - mean.reshape(1, -1, 1, 1)) / np.sqrt(variance.reshape(1, -1, 1, 1) + EPSILON)
    given = layer.eval()(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "learned", "estimated"),
    [
        ("batch", 2, 2),
        *((n, 2, 0) for n in ("layer", "instance", "group")),
        *((n, 0, 0) for n in ("local_response", "none")),
    ],
)
def test_numbers_per_map(name: NormName, learned: int, estimated: int) -> None:
    layer = create_norm(name, CHANNELS)
    assert sum(parameter.numel() for parameter in layer.parameters()) == learned * CHANNELS
    # torch also counts the batches, one number per layer.
    assert sum(buffer.numel() for buffer in layer.buffers() if buffer.dim()) == estimated * CHANNELS


def test_standardized_filters_have_mean_0_and_deviation_1() -> None:
    layer = StandardizedConv2d(4, 8, 3, padding=1).double()
    weight = layer.weight.detach().numpy()
    mean, variance = weight.mean(axis=(1, 2, 3), keepdims=True), weight.var(axis=(1, 2, 3), keepdims=True)
    filters = (weight - mean) / np.sqrt(variance + EPSILON)
    np.testing.assert_allclose(filters.mean(axis=(1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(filters.std(axis=(1, 2, 3)), 1, atol=1e-2)
    x = torch.randn(2, 4, 7, 5, dtype=torch.float64)
    expected = nn.functional.conv2d(x, torch.from_numpy(filters), layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


def test_local_response_normalization_equals_its_formula() -> None:
    """Krizhevsky et al. 2012, section 3.3: a / (2 + 1e-4 * the sum over five channels of a^2) ** 0.75."""
    x = 100 * maps()
    expected = np.empty_like(x)
    for i in range(CHANNELS):
        total = (x[:, max(0, i - 2) : i + 3] ** 2).sum(axis=1)
        expected[:, i] = x[:, i] / (2 + 1e-4 * total) ** 0.75
    given = create_norm("local_response", CHANNELS)(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(given, expected, rtol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "maxout"])
def test_local_response_normalization_stands_behind_the_activation(activation: ActivationName) -> None:
    """Ibid.: it takes activities behind the ReLU. It subtracts no mean, so that the convolution has a bias."""
    style = ConvStyle("local_response", activation)
    convolution, activated, normalization = block = ConvNormActivation(3, CHANNELS, style=style)
    assert isinstance(normalization, LocalResponseNorm)
    assert convolution.bias is not None
    x = 100 * torch.randn(2, 3, 5, 4)
    expected = normalization(create_activation(activation, CHANNELS)(convolution(x)))
    assert torch.equal(block(x), expected)
    assert type(activated) is type(create_activation(activation, CHANNELS))
    not_activated = ConvNormActivation(3, CHANNELS, activated=False, style=style)
    assert [type(layer) for layer in not_activated] == [nn.Conv2d, LocalResponseNorm]


@pytest.mark.parametrize("norm", [name for name in get_args(NormName) if name != "local_response"])
@pytest.mark.parametrize("standardized", [False, True])
def test_a_block_is_convolution_normalization_activation(norm: NormName, standardized: bool) -> None:
    block = ConvNormActivation(4, CHANNELS, 3, 2, style=ConvStyle(norm, "tanh", standardized)).double()
    convolution, normalization, activation = block
    assert isinstance(convolution, StandardizedConv2d if standardized else nn.Conv2d)
    assert (convolution.bias is None) == (norm != "none"), "a normalization would subtract the bias"
    x = torch.randn(2, 4, 7, 9, dtype=torch.float64)
    assert torch.equal(block(x), torch.tanh(normalization(convolution(x))))
    assert isinstance(activation, nn.Tanh)
    assert block(x).shape == (2, CHANNELS, 4, 5)


def test_dilation_keeps_the_size_and_sees_farther() -> None:
    block = ConvNormActivation(1, 1, 3, dilation=2, activated=False, style=ConvStyle("none"))
    with torch.no_grad():
        block[0].weight.fill_(1)  # type: ignore[union-attr, operator]
        block[0].bias.zero_()  # type: ignore[union-attr, operator]
    point = torch.zeros(1, 1, 7, 7)
    point[..., 3, 3] = 1
    assert block(point).nonzero()[:, 2:].tolist() == [[row, column] for row in (1, 3, 5) for column in (1, 3, 5)]
