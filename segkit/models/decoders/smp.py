"""Every architecture of segmentation-models-pytorch as decoder `smp/NAME`, built of smp's own decoder classes.

They work over every backbone whose strides double. With the head's kernel and interpolation declared here, a network
equals smp's own of the same name. smp is imported when one of these is built, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor, nn

from segkit.models.config import Option
from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs
from segkit.models.decoders._pyramid import Pyramid
from segkit.models.features import Features

Interpolation = Literal["nearest", "bilinear"]
Attention = Literal["scse"]
Build = Callable[..., Decoder]


class SmpDecoder(Decoder):
    """A decoder of smp over the maps of any backbone whose strides double.

    Args:
        decoder: smp's module; takes the list of levels.
        pyramid: the levels it was built for.
        out_channels: channels of its map.
        out_stride: stride of its map.
        head_kernel_size: kernel of smp's head for this architecture.
        stride_multiple: sides of the image must be multiples of this.
    """

    head_align_corners = True

    def __init__(
        self,
        decoder: nn.Module,
        pyramid: Pyramid,
        out_channels: int,
        out_stride: int,
        head_kernel_size: int = 1,
        stride_multiple: int = 1,
    ) -> None:
        super().__init__()
        self.decoder = _initialized(decoder)
        self.out_channels, self.out_stride = out_channels, out_stride
        self.head_kernel_size, self.stride_multiple = head_kernel_size, stride_multiple
        self._empty_strides = pyramid.empty_strides

    def forward(self, features: Features, size: tuple[int, int]) -> Tensor:
        """Decode the features of images of the given size (H, W)."""
        height, width = size
        finest = features.maps[0]
        empty = [
            finest.new_empty(finest.shape[0], 0, height // stride, width // stride) for stride in self._empty_strides
        ]
        return self.decoder([*empty, *features.maps])


def _architecture(name: str, backbone_options: Mapping[str, Option] | None = None) -> Callable[[Build], Build]:
    """Decorator that files a builder as decoder `smp/name`."""

    def register(build: Build) -> Build:
        DECODERS.register(f"smp/{name}")(DecoderEntry(build, "smp", backbone_options=backbone_options or {}))
        return build

    return register


@_architecture("unet")
def build_unet(
    specs: Specs,
    *,
    upsample: Interpolation = "nearest",
    channels: tuple[int, ...] | None = None,
    attention: Attention | None = None,
    center: bool = False,
) -> SmpDecoder:
    """Build smp's U-Net; `center` adds two convolutions at the coarsest map, as smp does over VGG."""
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    pyramid = Pyramid(specs, "unet")
    blocks = pyramid.block_channels(channels)
    decoder = UnetDecoder(
        pyramid.channels,
        blocks,
        pyramid.depth,
        attention_type=attention,
        add_center_block=center,
        interpolation_mode=upsample,
    )
    return SmpDecoder(decoder, pyramid, blocks[-1], 1, head_kernel_size=3)


@_architecture("unetplusplus")
def build_unetplusplus(
    specs: Specs,
    *,
    upsample: Interpolation = "nearest",
    channels: tuple[int, ...] | None = None,
    attention: Attention | None = None,
    center: bool = False,
) -> SmpDecoder:
    """Build smp's U-Net++ (Zhou et al. 2018); `center` as in `build_unet`."""
    from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder

    pyramid = Pyramid(specs, "unetplusplus", finest=2)
    blocks = pyramid.block_channels(channels)
    decoder = UnetPlusPlusDecoder(
        pyramid.channels, blocks, pyramid.depth, attention_type=attention, interpolation_mode=upsample, center=center
    )
    return SmpDecoder(decoder, pyramid, blocks[-1], 1, head_kernel_size=3)


@_architecture("manet")
def build_manet(
    specs: Specs,
    *,
    upsample: Interpolation = "nearest",
    channels: tuple[int, ...] | None = None,
    attention_channels: int = 64,
) -> SmpDecoder:
    """Build smp's MA-Net (Fan et al. 2020)."""
    from segmentation_models_pytorch.decoders.manet.decoder import MAnetDecoder

    pyramid = Pyramid(specs, "manet")
    blocks = pyramid.block_channels(channels)
    decoder = MAnetDecoder(
        pyramid.channels, blocks, pyramid.depth, pab_channels=attention_channels, interpolation_mode=upsample
    )
    return SmpDecoder(decoder, pyramid, blocks[-1], 1, head_kernel_size=3)


@_architecture("linknet")
def build_linknet(specs: Specs) -> SmpDecoder:
    """Build smp's LinkNet (Chaurasia and Culurciello 2017)."""
    from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder

    pyramid = Pyramid(specs, "linknet", finest=2)
    return SmpDecoder(LinknetDecoder(pyramid.channels, 32, pyramid.depth), pyramid, 32, 1)


@_architecture("fpn")
def build_fpn(
    specs: Specs,
    *,
    upsample: Interpolation = "nearest",
    pyramid_channels: int = 256,
    channels: int = 128,
    dropout: float = 0.2,
    merge: Literal["add", "cat"] = "add",
) -> SmpDecoder:
    """Build smp's feature pyramid network (Kirillov et al. 2019)."""
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

    pyramid = Pyramid(specs, "fpn", maps=4)
    decoder = FPNDecoder(pyramid.channels, pyramid.depth, pyramid_channels, channels, dropout, merge, upsample)
    return SmpDecoder(decoder, pyramid, decoder.out_channels, pyramid.strides[-4])


@_architecture("pspnet", {"depth": 3})
def build_pspnet(specs: Specs, *, channels: int = 512, dropout: float = 0.2) -> SmpDecoder:
    """Build smp's PSPNet (Zhao et al. 2017) on the coarsest map."""
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder

    pyramid = Pyramid(specs, "pspnet", coarsest=(8, 16, 32))
    decoder = PSPDecoder(pyramid.channels, out_channels=channels, dropout=dropout)
    return SmpDecoder(decoder, pyramid, channels, specs[-1].stride, head_kernel_size=3)


@_architecture("deeplabv3", {"output_stride": 8})
def build_deeplabv3(
    specs: Specs,
    *,
    channels: int = 256,
    rates: tuple[int, int, int] = (12, 24, 36),
    separable: bool = False,
    dropout: float = 0.5,
) -> SmpDecoder:
    """Build smp's DeepLabv3 (Chen et al. 2017): atrous spatial pyramid pooling on the coarsest map."""
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3Decoder

    pyramid = Pyramid(specs, "deeplabv3", coarsest=(8, 16))
    decoder = DeepLabV3Decoder(pyramid.channels[-1], channels, rates, separable, dropout)
    return SmpDecoder(decoder, pyramid, channels, specs[-1].stride)


@_architecture("deeplabv3plus", {"output_stride": 16})
def build_deeplabv3plus(
    specs: Specs,
    *,
    channels: int = 256,
    rates: tuple[int, int, int] = (12, 24, 36),
    separable: bool = True,
    dropout: float = 0.5,
) -> SmpDecoder:
    """Build smp's DeepLabv3+ (Chen et al. 2018)."""
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder

    pyramid = Pyramid(specs, "deeplabv3plus", coarsest=(8, 16))
    decoder = DeepLabV3PlusDecoder(
        pyramid.channels, pyramid.depth, channels, rates, specs[-1].stride, separable, dropout
    )
    return SmpDecoder(decoder, pyramid, channels, 4)


@_architecture("pan", {"output_stride": 16})
def build_pan(specs: Specs, *, upsample: Interpolation = "bilinear", channels: int = 32) -> SmpDecoder:
    """Build smp's pyramid attention network (Li et al. 2018), which halves the coarsest map three times more."""
    from segmentation_models_pytorch.decoders.pan.decoder import PANDecoder

    pyramid = Pyramid(specs, "pan", coarsest=(16, 32))
    decoder = PANDecoder(pyramid.channels, pyramid.depth, channels, upsample)
    return SmpDecoder(decoder, pyramid, channels, 4, head_kernel_size=3, stride_multiple=8 * specs[-1].stride)


@_architecture("upernet")
def build_upernet(specs: Specs, *, channels: int = 256) -> SmpDecoder:
    """Build smp's UPerNet (Xiao et al. 2018)."""
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    pyramid = Pyramid(specs, "upernet")
    return SmpDecoder(UPerNetDecoder(pyramid.channels, pyramid.depth, channels), pyramid, channels, 4)


@_architecture("segformer")
def build_segformer(specs: Specs, *, channels: int = 256) -> SmpDecoder:
    """Build smp's SegFormer decoder (Xie et al. 2021)."""
    from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder

    pyramid = Pyramid(specs, "segformer")
    return SmpDecoder(SegformerDecoder(pyramid.channels, pyramid.depth, channels), pyramid, channels, 4)


def _initialized(decoder: nn.Module) -> nn.Module:
    from segmentation_models_pytorch.base.initialization import initialize_decoder

    initialize_decoder(decoder)
    return decoder
