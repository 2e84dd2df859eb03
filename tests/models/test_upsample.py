"""Upsampling against hand-computed values and torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segkit.models.layers.upsample import TransposedConvolution, UpsamplingName, create_upsampling

NAMES: tuple[UpsamplingName, ...] = ("nearest", "bilinear", "transposed")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(8, 6), (7, 5), (9, 7)])
def test_upsampling_gives_exactly_the_size_asked_for(name: UpsamplingName, size: tuple[int, int]) -> None:
    upsampling = create_upsampling(name, 3, 2, 2)
    assert upsampling(torch.randn(1, 3, 4, 3), size).shape == (1, upsampling.out_channels, *size)
    assert upsampling.out_channels == (2 if name == "transposed" else 3)


def test_nearest_repeats_pixels() -> None:
    doubled = create_upsampling("nearest", 1, 1, 2)(torch.tensor([[[[1.0, 2.0]]]]), (2, 4))
    assert doubled.tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]


def test_bilinear_interpolates_between_pixel_centres() -> None:
    doubled = create_upsampling("bilinear", 1, 1, 2)(torch.tensor([[[[0.0, 4.0]]]]), (1, 4))
    assert doubled.tolist() == [[[[0, 1, 3, 4]]]]


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
    upsampling = TransposedConvolution(1, 1, 2)
    x = torch.randn(1, 1, 3, 3)
    extended = nn.functional.pad(x, (0, 1, 0, 1), mode="replicate")
    assert torch.equal(upsampling(x, (7, 7)), upsampling.convolution(extended)[..., :7, :7])
