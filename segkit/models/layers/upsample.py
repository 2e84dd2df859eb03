"""Upsampling, always to a size: that of the skip or of the input, never by a factor."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.models.features import Pool

Size = tuple[int, int]
"""Height and width in pixels."""

UpsamplingName = Literal["nearest", "bilinear", "bed_of_nails", "max_unpool", "transposed", "pixel_shuffle"]


class Upsampling(nn.Module):
    """A map (N, in_channels, h, w) and a size (H, W) to a map (N, out_channels, H, W)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Bring the map `x` to the height and width of `size`."""
        raise NotImplementedError


class Interpolation(Upsampling):
    """Nearest or bilinear interpolation between pixel centres; the number of channels stays."""

    def __init__(self, channels: int, mode: Literal["nearest", "bilinear"]) -> None:
        super().__init__(channels)
        self.mode = mode

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Interpolate `x` to `size`."""
        return functional.interpolate(x, size=size, mode=self.mode)


class BedOfNails(Upsampling):
    """Every pixel at the top left of a block of zeros; the number of channels stays.

    Source: Dosovitskiy et al. 2015, "Learning to generate chairs with convolutional neural networks", "unpooling".
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels)
        self.factor = factor

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Spread the pixels of `x`, then fill up with zeros or cut to `size`."""
        zeros = self.factor - 1
        spread = functional.pad(x[..., :, None, :, None], (0, zeros, 0, 0, 0, zeros)).flatten(4, 5).flatten(2, 3)
        rows, columns = (length - have for length, have in zip(size, spread.shape[-2:], strict=True))
        return _in_format_of(x, functional.pad(spread, (0, columns, 0, rows)))


class TransposedConvolution(Upsampling):
    """Learned upsampling: one `factor` x `factor` patch per pixel (the "up-convolution" of Ronneberger et al. 2015).

    Where an odd size was rounded on the way down, the map is extended by its border or cropped. Unlike
    `ConvTranspose2d(output_size=...)` this exports to ONNX.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__(out_channels)
        self.factor = factor
        self.convolution = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=factor, stride=factor)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Upsample `x` by the factor, then cut to `size`."""
        height, width = size
        return self.convolution(_extended(x, size, self.factor))[..., :height, :width]


class SubPixelConvolution(nn.Conv2d):
    """A 3 x 3 convolution to `factor`² sets of `out_channels` channels, for `PixelShuffle` to lay side by side."""

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__(in_channels, out_channels * factor**2, kernel_size=3, padding=1)
        self.factor = factor

    def initialize(self) -> None:
        """Let the pixels of a block start equal, so that the shuffled map starts without a checkerboard.

        Source: Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution" ("ICNR").
        """
        filters = torch.empty_like(self.weight[:: self.factor**2])
        nn.init.kaiming_normal_(filters, nonlinearity="linear")
        with torch.no_grad():
            self.weight.copy_(filters.repeat_interleave(self.factor**2, dim=0))


class PixelShuffle(Upsampling):
    """Learned upsampling: a convolution at the low resolution gives all pixels of a block, which are then laid out.

    Source: Shi et al. 2016, "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", section 2.2. With a 1 x 1 convolution it would be the transposed convolution above;
    the 3 x 3 one sees the neighbours too.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: int) -> None:
        super().__init__(out_channels)
        self.factor = factor
        self.convolution = SubPixelConvolution(in_channels, out_channels, factor)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Upsample `x` by the factor, then cut to `size`; a map too small for it is first extended by its border."""
        height, width = size
        convolved = self.convolution(_extended(x, size, self.factor))
        return functional.pixel_shuffle(convolved, self.factor)[..., :height, :width]


class MaxUnpooling(nn.Module):
    """Every value back to the pixel its maximum came from, zeros elsewhere (Zeiler et al. 2011; Noh et al. 2015).

    A 1 x 1 convolution comes first where the map has not the channels of the pool.
    """

    def __init__(self, in_channels: int, pool_channels: int) -> None:
        super().__init__()
        self.out_channels = pool_channels
        fits = in_channels == pool_channels
        self.adaptation = nn.Identity() if fits else nn.Conv2d(in_channels, pool_channels, kernel_size=1)

    def forward(self, x: Tensor, pool: Pool) -> Tensor:
        """Undo `pool`: a map of the pooled size to one of the size before it."""
        x = self.adaptation(x)
        height, width = pool.size
        # torch's max_unpool2d computes the same but turns bfloat16 into float32. The size is that of the indices, which
        # an export to ONNX follows to the image; that of a map unpooled before it takes for a constant.
        empty = x.new_zeros(*pool.indices.shape[:2], height * width)
        filled = empty.scatter(2, pool.indices.flatten(2), x.flatten(2))
        return _in_format_of(x, filled.unflatten(2, (height, width)))


def create_upsampling(
    name: UpsamplingName, in_channels: int, out_channels: int, factor: int
) -> Upsampling | MaxUnpooling:
    """The upsampling called `name`, made for maps that shrank by `factor`.

    `transposed` and `pixel_shuffle` give `out_channels` channels, `max_unpool` too, which must be those of its pool;
    the others keep the channels. `max_unpool` is called with a pool in place of a size.
    """
    match name:
        case "nearest" | "bilinear":
            return Interpolation(in_channels, name)
        case "bed_of_nails":
            return BedOfNails(in_channels, factor)
        case "max_unpool":
            return MaxUnpooling(in_channels, out_channels)
        case "transposed":
            return TransposedConvolution(in_channels, out_channels, factor)
        case "pixel_shuffle":
            return PixelShuffle(in_channels, out_channels, factor)


def _extended(x: Tensor, size: Size, factor: int) -> Tensor:
    """`x` with its last rows and columns repeated where `factor` times its size falls short of `size`."""
    rows, columns = (-(-length // factor) - have for length, have in zip(size, x.shape[-2:], strict=True))
    if rows > 0 or columns > 0:
        return functional.pad(x, (0, max(columns, 0), 0, max(rows, 0)), mode="replicate")
    return x


def _in_format_of(x: Tensor, result: Tensor) -> Tensor:
    """`result` in the memory format of `x`: convolutions are faster on channels-last maps."""
    is_channels_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return result.contiguous(memory_format=torch.channels_last) if is_channels_last else result
