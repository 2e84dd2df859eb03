"""Upsampling against hand-computed values and torch's own."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.models.features import Pool
from segkit.models.layers.initialization import initialize
from segkit.models.layers.upsample import (
    BedOfNails,
    MaxUnpooling,
    PixelShuffle,
    TransposedConvolution,
    UpsamplingName,
    create_upsampling,
)

NAMES: tuple[UpsamplingName, ...] = tuple(name for name in get_args(UpsamplingName) if name != "max_unpool")
SIZES = [(8, 6), (7, 5), (9, 7)]


def pooled(x: Tensor) -> tuple[Tensor, Pool]:
    maxima, indices = functional.max_pool2d(x, 2, return_indices=True)
    return maxima, Pool(indices, (x.shape[-2], x.shape[-1]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_upsampling_gives_exactly_the_size_asked_for(name: UpsamplingName, size: tuple[int, int]) -> None:
    upsampling = create_upsampling(name, 3, 2, 2)
    assert upsampling(torch.randn(1, 3, 4, 3), size).shape == (1, upsampling.out_channels, *size)
    assert upsampling.out_channels == (2 if name in ("transposed", "pixel_shuffle") else 3)


@pytest.mark.parametrize("size", SIZES)
def test_unpooling_gives_exactly_the_size_before_the_pool(size: tuple[int, int]) -> None:
    maxima, pool = pooled(torch.randn(1, 2, *size))
    assert create_upsampling("max_unpool", 2, 2, 2)(maxima, pool).shape == (1, 2, *size)


@pytest.mark.parametrize("name", NAMES)
def test_upsampling_keeps_bfloat16_and_channels_last(name: UpsamplingName) -> None:
    x = torch.randn(2, 4, 3, 5).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        grown = create_upsampling(name, 4, 4, 2)(x.bfloat16(), (6, 10))
    assert grown.dtype == torch.bfloat16
    assert grown.is_contiguous(memory_format=torch.channels_last)


def test_nearest_repeats_pixels() -> None:
    doubled = create_upsampling("nearest", 1, 1, 2)(torch.tensor([[[[1.0, 2.0]]]]), (2, 4))
    assert doubled.tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]


def test_bilinear_interpolates_between_pixel_centres() -> None:
    doubled = create_upsampling("bilinear", 1, 1, 2)(torch.tensor([[[[0.0, 4.0]]]]), (1, 4))
    assert doubled.tolist() == [[[[0, 1, 3, 4]]]]


def test_bed_of_nails_puts_every_pixel_at_the_top_left_of_its_block() -> None:
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert BedOfNails(1, 2)(x, (4, 4))[0, 0].tolist() == [[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]]
    assert BedOfNails(1, 2)(x, (5, 3))[0, 0].tolist() == [[1, 0, 2], [0, 0, 0], [3, 0, 4], [0, 0, 0], [0, 0, 0]]


def test_bed_of_nails_equals_a_transposed_convolution_with_a_single_one() -> None:
    x = torch.randn(2, 3, 4, 5)
    nail = torch.zeros(3, 1, 3, 3)
    nail[..., 0, 0] = 1
    expected = functional.conv_transpose2d(x, nail, stride=3, groups=3)
    assert torch.equal(BedOfNails(3, 3)(x, (12, 15)), expected)
    assert torch.equal(BedOfNails(3, 3)(x, (10, 14)), expected[..., :10, :14])


def test_unpooling_puts_every_value_back_where_it_came_from() -> None:
    """The 4 x 4 example of the lectures: pooled, changed, unpooled."""
    x = torch.tensor([[[[1.0, 2, 6, 3], [3, 5, 2, 1], [1, 2, 2, 1], [7, 3, 4, 8]]]])
    maxima, pool = pooled(x)
    assert maxima[0, 0].tolist() == [[5, 6], [7, 8]]
    unpooled = MaxUnpooling(1, 1)(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]), pool)
    assert unpooled[0, 0].tolist() == [[0, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [3, 0, 0, 4]]


@pytest.mark.parametrize("size", SIZES)
def test_unpooling_equals_torchs_and_passes_the_gradient_of_the_maxima(size: tuple[int, int]) -> None:
    maxima, pool = pooled(torch.randn(2, 3, *size))
    maxima.requires_grad_()
    unpooled = MaxUnpooling(3, 3)(maxima, pool)
    assert torch.equal(unpooled, functional.max_unpool2d(maxima, pool.indices, (2, 2), output_size=size))
    weight = torch.randn_like(unpooled)
    (gradient,) = torch.autograd.grad((unpooled * weight).sum(), maxima)
    assert torch.equal(gradient, weight.flatten(2).gather(2, pool.indices.flatten(2)).view_as(maxima))


def test_unpooling_fits_the_channels_to_those_of_the_pool_by_a_1x1_convolution() -> None:
    _, pool = pooled(torch.randn(1, 2, 6, 8))
    unpooling = MaxUnpooling(5, 2)
    assert sum(parameter.numel() for parameter in unpooling.parameters()) == 5 * 2 + 2
    assert list(MaxUnpooling(2, 2).parameters()) == []
    x = torch.randn(1, 5, 3, 4)
    adapted = unpooling.adaptation(x)
    assert torch.equal(unpooling(x, pool), functional.max_unpool2d(adapted, pool.indices, (2, 2)))


def test_unpooling_keeps_bfloat16_and_channels_last() -> None:
    x = torch.randn(2, 4, 6, 10).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        unpooled = MaxUnpooling(4, 4)(*pooled(x))
    assert unpooled.dtype == torch.bfloat16
    assert unpooled.is_contiguous(memory_format=torch.channels_last)


def test_transposed_convolution_lays_one_patch_per_pixel() -> None:
    upsampling = TransposedConvolution(1, 1, 2)
    with torch.no_grad():
        upsampling.convolution.weight.copy_(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        upsampling.convolution.bias = nn.Parameter(torch.tensor([0.5]))
        patches = upsampling(torch.tensor([[[[1.0, 10.0]]]]), (2, 4))
    assert patches.tolist() == [[[[1.5, 2.5, 10.5, 20.5], [3.5, 4.5, 30.5, 40.5]]]]


def test_a_cropped_transposed_convolution_equals_torchs_output_size() -> None:
    upsampling = TransposedConvolution(3, 2, 3)
    x = torch.randn(2, 3, 4, 5)
    reference = nn.functional.conv_transpose2d(x, upsampling.convolution.weight, upsampling.convolution.bias, stride=3)
    assert torch.equal(upsampling(x, (10, 14)), reference[..., :10, :14])


def test_a_map_that_was_rounded_down_grows_by_its_border() -> None:
    x = torch.randn(1, 1, 3, 3)
    extended = nn.functional.pad(x, (0, 1, 0, 1), mode="replicate")
    transposed, shuffle = TransposedConvolution(1, 1, 2), PixelShuffle(1, 1, 2)
    assert torch.equal(transposed(x, (7, 7)), transposed.convolution(extended)[..., :7, :7])
    assert torch.equal(shuffle(x, (7, 7)), functional.pixel_shuffle(shuffle.convolution(extended), 2)[..., :7, :7])


def test_pixel_shuffle_lays_the_channels_of_a_pixel_into_a_block() -> None:
    upsampling = PixelShuffle(1, 1, 2)
    with torch.no_grad():
        upsampling.convolution.weight.zero_()
        upsampling.convolution.weight[:, 0, 1, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
        upsampling.convolution.bias = nn.Parameter(torch.tensor([0.0, 0.0, 0.0, 0.5]))
        shuffled = upsampling(torch.tensor([[[[1.0, 10.0]]]]), (2, 4))
    assert shuffled.tolist() == [[[[1, 2, 10, 20], [3, 4.5, 30, 40.5]]]]


def test_pixel_shuffle_starts_without_a_checkerboard() -> None:
    upsampling = PixelShuffle(64, 8, 2)
    initialize(upsampling)
    x = torch.randn(1, 64, 10, 10)
    grown = upsampling(x, (20, 20))
    blocks = grown[..., ::2, ::2]
    for row, column in ((0, 1), (1, 0), (1, 1)):
        assert torch.equal(grown[..., row::2, column::2], blocks)
    # The variance of the input is kept: 64 * 9 inputs of weights with variance 1 / (64 * 9).
    assert float(upsampling.convolution.weight.detach().var()) == pytest.approx(1 / (64 * 9), rel=0.1)
