"""The dense prediction transformer of segmentation-models-pytorch as decoder `smp/dpt`."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.decoders._base import DECODERS, Decoder, DecoderEntry, Specs
from segkit.models.features import Features

Readout = Literal["cat", "add", "ignore"]


class DptDecoder(Decoder):
    """smp's DPT decoder, with the inner part of its head, over a vision transformer (Ranftl et al. 2021).

    Args:
        specs: maps of the transformer.
        readout: how the class and register tokens are mixed into the maps.
        channels: channels of the maps before they are brought to strides 4, 8, 16, 32.
        fusion_channels: channels of the fused map.
    """

    head_align_corners = True
    # The coarsest map is brought to stride 32.
    stride_multiple = 32

    def __init__(self, specs: Specs, readout: Readout, channels: tuple[int, ...], fusion_channels: int) -> None:
        super().__init__()
        from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
        from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead

        self.out_channels, self.out_stride = fusion_channels, 2
        self.decoder = DPTDecoder(
            [spec.channels for spec in specs],
            [spec.stride for spec in specs],
            readout=readout,
            intermediate_channels=channels,
            fusion_channels=fusion_channels,
        )
        # All of smp's head but its last convolution, which is the segment head.
        self.refinement: nn.Sequential = DPTSegmentationHead(fusion_channels, 1).head[:-1]
        initialize_decoder(self.decoder)
        initialize_head(self.refinement)

    def forward(self, features: Features, size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        """Decode the maps and prefix tokens of a transformer."""
        return self.refinement(self.decoder(features.maps, features.auxiliary["prefix_tokens"]))


def build_dpt(
    specs: Specs,
    *,
    readout: Readout = "cat",
    channels: tuple[int, int, int, int] = (256, 512, 1024, 1024),
    fusion_channels: int = 256,
) -> DptDecoder:
    """Build smp's DPT decoder; raises `UsageError` for patches whose side is no power of two."""
    side = specs[0].stride
    if side & (side - 1):
        raise UsageError(f"decoder smp/dpt needs patches of 8, 16 or 32 pixels; those of this backbone have {side}")
    return DptDecoder(specs, readout, channels, fusion_channels)


DECODERS.register("smp/dpt")(DecoderEntry(build_dpt, "smp", requires=frozenset({"prefix_tokens"})))
