"""The decoder of ENet: small on purpose, it only fine-tunes the details of what the encoder has found."""

from __future__ import annotations

from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.backbones.enet import Bottleneck, quarter, regular
from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs
from segkit.models.features import Features, Pool
from segkit.models.layers.conv import ConvNormActivation
from segkit.models.layers.initialization import initialize
from segkit.models.layers.upsample import MaxUnpooling, Size, TransposedConvolution

DROPOUT = 0.1


class FullConvolution(nn.Module):
    """A 3 x 3 transposed convolution of stride 2 to a size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.ConvTranspose2d(channels, channels, 3, stride=2, output_padding=1, bias=False)

    def forward(self, x: Tensor, size: Size) -> Tensor:
        """Double `x` and cut to `size`, twice its own or one pixel more."""
        height, width = size
        return self.convolution(x)[..., 1 : 1 + height, 1 : 1 + width]


class UpsamplingBottleneck(nn.Module):
    """A bottleneck around a full convolution; the shortcut is a 1 x 1 convolution and an unpooling (section 4)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        reduced = quarter(out_channels)
        self.reduction = ConvNormActivation(in_channels, reduced, 1)
        self.full_convolution = FullConvolution(reduced)
        self.expansion = nn.Sequential(
            nn.BatchNorm2d(reduced),
            nn.ReLU(inplace=True),
            ConvNormActivation(reduced, out_channels, 1, activated=False),
            nn.Dropout2d(DROPOUT),
        )
        self.shortcut = ConvNormActivation(in_channels, out_channels, 1, activated=False)
        self.unpooling = MaxUnpooling(out_channels, out_channels)
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, pool: Pool) -> Tensor:
        """A map of the size before the `pool`."""
        branch = self.expansion(self.full_convolution(self.reduction(x), pool.size))
        return self.activation(self.unpooling(self.shortcut(x), pool) + branch)


class EnetDecoder(Decoder):
    """Up to stride 2 an upsampling bottleneck per pool, each followed by two regular ones, the last by one; then a bare
    2 x 2 transposed convolution to the classes.

    Finer pools are not undone: on ENet's own backbone none is left, since that of its initial block went over the
    image. Dropout is that of section 4, which has it in every bottleneck; the authors' code has none in the decoder.

    Source: Paszke et al. 2016, "ENet: a deep neural network architecture for real-time semantic segmentation", table 1
    and section 4.

    Args:
        specs: the maps of the backbone.
        num_classes: channels of the logits.
    """

    gives_logits = True
    out_stride = 1

    def __init__(self, specs: Specs, num_classes: int) -> None:
        super().__init__()
        self.out_channels = num_classes
        levels = [spec for spec in specs if spec.stride >= 2]
        if len(levels) < 2 or levels[0].stride != 2:
            given = ", ".join(str(spec.stride) for spec in specs)
            raise UsageError(
                f"decoder enet needs a map of stride 2 and coarser ones; this backbone has {given}; 'enet' fits"
            )
        *targets, coarsest = levels
        upsamplings: list[UpsamplingBottleneck] = []
        stages: list[nn.Sequential] = []
        before = coarsest.channels
        for target in reversed(targets):
            count = 1 if target is targets[0] else 2
            upsamplings.append(UpsamplingBottleneck(before, target.channels))
            stages.append(nn.Sequential(*(_bottleneck(target.channels) for _ in range(count))))
            before = target.channels
        self.upsamplings, self.stages = nn.ModuleList(upsamplings), nn.ModuleList(stages)
        self.full_convolution = TransposedConvolution(before, num_classes, factor=2)
        initialize(self)

    def forward(self, features: Features, size: Size) -> Tensor:
        """The logits (N, num_classes, H, W) with (H, W) = `size`."""
        x = features.maps[-1]
        for upsampling, stage, pool in zip(self.upsamplings, self.stages, reversed(features.pools), strict=False):
            x = stage(upsampling(x, pool))
        return self.full_convolution(x, size)


def _bottleneck(channels: int) -> Bottleneck:
    return Bottleneck(channels, regular(channels, activation="relu"), DROPOUT, activation="relu")


def build_enet(specs: Specs, num_classes: int) -> EnetDecoder:
    """Build the decoder of ENet; raises `UsageError` for a backbone without a map of stride 2 and coarser ones."""
    return EnetDecoder(specs, num_classes)


DECODERS.register("enet")(DecoderEntry(build_enet, "segkit", requires=frozenset({"pool_indices"}), scores_classes=True))
