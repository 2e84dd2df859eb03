"""The deconvolution network: the whole window into one vector, and back by unpooling and deconvolution."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs
from segkit.models.decoders._unpooling import UnpoolingPath, mirrored_convolutions
from segkit.models.features import Features
from segkit.models.layers.upsample import Size

WINDOW = 7
"""Height and width of fc6: the last map of VGG-16 at the paper's 224 x 224 pixels."""

Hidden = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]


class DeconvnetDecoder(Decoder):
    """fc6, fc7 and deconv-fc6 without padding, then the backbone mirrored with 3 x 3 transposed convolutions.

    At the paper's image size fc6 sees the whole map, and fc7 is a vector; larger images give one per position.
    Batch normalization and ReLU follow every layer. Smaller maps are extended by zeros to 7 x 7.

    This is the paper's network, trained and applied like every other: on crops and whole images. Not built are its
    training in two stages, first on crops centred on one object (section 4.2), the aggregation of the maps of many
    object proposals and the CRF on their result (section 5.1), and the ensemble with FCN (section 5.2).

    Source: Noh et al. 2015, "Learning deconvolution network for semantic segmentation", section 3 and table 1.

    Args:
        specs: the maps of the backbone.
        convolutions: transposed convolutions behind every unpooling, coarse to fine.
        hidden: channels of fc6 and fc7.
    """

    def __init__(self, specs: Specs, convolutions: tuple[int, ...], hidden: Hidden) -> None:
        super().__init__()
        self.out_channels, self.out_stride = specs[0].channels, specs[0].stride
        pooled = specs[-2].channels
        self.fc6 = _block(nn.Conv2d(specs[-1].channels, hidden[0], WINDOW, bias=False))
        self.fc7 = _block(nn.Conv2d(*hidden, kernel_size=1, bias=False))
        self.deconvolution_fc6 = _block(nn.ConvTranspose2d(hidden[1], pooled, WINDOW, bias=False))
        self.path = UnpoolingPath(pooled, specs, convolutions, _deconvolution)

    def forward(self, features: Features, size: Size) -> Tensor:  # noqa: ARG002
        """Decode the coarsest map to one (N, out_channels, H / out_stride, W / out_stride).

        Raises `UsageError` in training when the batch leaves batch normalization a single value per channel.
        """
        coarsest = features.maps[-1]
        count, _, height, width = coarsest.shape
        if self.training and count == 1 and max(height, width) <= WINDOW:
            raise UsageError(
                f"decoder deconvnet cannot learn from one image whose last map is {height} x {width}: its batch "
                f"normalization needs two values per channel; use a larger batch or a map larger than {WINDOW} pixels"
            )
        if min(height, width) < WINDOW:
            coarsest = functional.pad(coarsest, (0, max(WINDOW - width, 0), 0, max(WINDOW - height, 0)))
        window = self.deconvolution_fc6(self.fc7(self.fc6(coarsest)))
        return self.path(window[..., :height, :width], features.pools)


def _block(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """The convolution, with He's initial weights for its fan in, then batch normalization and ReLU."""
    # torch counts a transposed convolution's fan from the other side.
    is_transposed = isinstance(convolution, nn.ConvTranspose2d)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out" if is_transposed else "fan_in", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))


def _deconvolution(in_channels: int, out_channels: int) -> nn.Sequential:
    return _block(nn.ConvTranspose2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False))


def build_deconvnet(
    specs: Specs,
    *,
    convolutions: tuple[Annotated[int, Field(ge=1)], ...] | None = None,
    hidden: Hidden = (4096, 4096),
) -> DeconvnetDecoder:
    """Build the deconvolution network: convolutions behind every unpooling as in `segnet`, channels of fc6 and fc7."""
    return DeconvnetDecoder(specs, mirrored_convolutions("deconvnet", specs, convolutions), hidden)


DECODERS.register("deconvnet")(DecoderEntry(build_deconvnet, "segkit", requires=frozenset({"pool_indices"})))
