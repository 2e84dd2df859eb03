"""The plain U-Net: counted by hand, and the one whose score the design states."""

from __future__ import annotations

from functools import partial
from typing import get_args

import pytest
import torch

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES
from segkit.models.config import Option
from segkit.models.decoders.unet import UnetDecoder, build_unet
from segkit.models.factory import create_model
from segkit.models.features import FeatureSpec, Pool
from segkit.models.layers.upsample import MaxUnpooling, UpsamplingName


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("upsample", "decoder_parameters"),
    [
        ("transposed", 150),
        ("nearest", 152),
        ("bilinear", 152),
        ("bed_of_nails", 152),
        ("max_unpool", 126),
        ("pixel_shuffle", 412),
    ],
)
def test_parameters_of_a_tiny_network_counted_by_hand(upsample: str, decoder_parameters: int) -> None:
    model = create_model(num_classes=3, in_channels=1, upsample=upsample, backbone_options={"width": 2, "depth": 2})
    # level 1: 1*2*9 + 4, 2*2*9 + 4; level 2: 2*4*9 + 8, 4*4*9 + 8 (convolution without bias + normalization)
    assert parameters(model.backbone) == (18 + 4) + (36 + 4) + (72 + 8) + (144 + 8)
    # transposed: 4*2*4 + 2, then (2+2)*2*9 + 4, 2*2*9 + 4; interpolated: (4+2)*2*9 + 4, 2*2*9 + 4
    # max_unpool: 4*2 + 2, then as transposed; pixel_shuffle: 4*8*9 + 8, then as transposed
    assert model.decoder is not None
    assert parameters(model.decoder) == decoder_parameters
    assert parameters(model.heads) == 2 * 3 + 3


def test_the_default_network_has_three_million_parameters() -> None:
    model = create_model(num_classes=2, in_channels=1)
    assert [spec.channels for spec in model.backbone.specs] == [24, 48, 96, 192, 256]
    assert [spec.stride for spec in model.backbone.specs] == [1, 2, 4, 8, 16]
    assert parameters(model) == 3_310_386


def test_the_papers_width_and_depth_can_be_chosen() -> None:
    """Ronneberger et al. 2015: 23 convolutions, 64 to 1024 channels and back."""
    with torch.device("meta"):
        model = create_model(
            num_classes=2,
            in_channels=1,
            backbone_options={"width": 64, "max_width": 1024},
            decoder_options={"channels": (512, 256, 128, 64)},
        )
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert len(convolutions) == 23
    # Figure 1 summed by hand: 18,838,080 down, 2,785,280 in up-convolutions, 9,400,320 up, 128 in the last layer.
    assert sum(convolution.weight.numel() for convolution in convolutions) == 31_023_808


def test_channels_over_a_residual_network_are_those_of_smp() -> None:
    specs = [FeatureSpec(count, stride) for count, stride in ((64, 2), (64, 4), (128, 8), (256, 16), (512, 32))]
    decoder = build_unet(specs)
    assert [block.convolutions[0][0].out_channels for block in decoder.blocks] == [256, 128, 64, 32, 16]  # type: ignore[union-attr, index]
    assert (decoder.out_channels, decoder.out_stride) == (16, 1)


def test_a_backbone_that_starts_at_stride_4_is_brought_back_in_steps_of_two() -> None:
    decoder = build_unet([FeatureSpec(8, 4), FeatureSpec(16, 8)])
    assert decoder.strides == [4, 2, 1]
    # Transformers with patches of 14 pixels: no whole step lies between 7 and 1.
    assert build_unet([FeatureSpec(8, 14), FeatureSpec(8, 14)]).strides == [14, 7, 1]


def test_decoder_reaches_the_size_of_odd_skips() -> None:
    model = create_model(num_classes=2, backbone_options={"width": 4, "depth": 3})
    assert model.decoder is not None
    features = model.backbone(torch.randn(1, 3, 23, 29))
    assert [tuple(map_.shape[-2:]) for map_ in features.maps] == [(23, 29), (11, 14), (5, 7)]
    assert model.decoder(features, (23, 29)).shape == (1, 4, 23, 29)


@pytest.mark.parametrize("upsample", get_args(UpsamplingName))
@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("plain", {"width": 4, "depth": 4}),
        ("plain", {"pattern": "[4]*2 P [6] P [6] P", "stem_stride": 2}),
        ("smp/resnet18", {}),
    ],
)
def test_every_upsampling_reaches_the_image_at_odd_sizes_and_trains(
    upsample: str, backbone: str, options: dict[str, Option]
) -> None:
    out_stride = 2 if "stem_stride" in options else 1
    build = partial(
        create_model,
        backbone,
        num_classes=2,
        upsample=upsample,
        backbone_options=options,
        decoder_options={"out_stride": out_stride},
    )
    if upsample == "max_unpool" and backbone != "plain":
        with pytest.raises(UsageError, match=r"unet needs pool_indices, which backbone smp/resnet18 lacks; .* plain, "):
            build()
        return
    model = build()
    logits = model(torch.randn(2, 3, 23, 29))["segment"]
    assert logits.shape == (2, 2, 23, 29)
    logits.square().mean().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_unpooling_goes_through_the_pools_from_the_coarsest_to_the_finest() -> None:
    model = create_model(num_classes=2, upsample="max_unpool", backbone_options={"width": 4, "depth": 3}).eval()
    assert isinstance(model.decoder, UnetDecoder)
    features = model.backbone(torch.randn(1, 3, 23, 29))
    seen: list[torch.Tensor] = []

    def check(unpooling: MaxUnpooling, inputs: tuple[torch.Tensor, Pool], unpooled: torch.Tensor) -> None:
        pool = features.pools[-1 - len(seen)]
        assert inputs[1] is pool
        assert unpooled.shape == features.maps[-2 - len(seen)].shape
        adapted = unpooling.adaptation(inputs[0])
        assert torch.equal(
            unpooled, torch.nn.functional.max_unpool2d(adapted, pool.indices, (2, 2), output_size=pool.size)
        )
        seen.append(unpooled)

    for block in model.decoder.blocks:
        block.upsampling.register_forward_hook(check)  # type: ignore[union-attr, operator]
    model.decoder(features, (23, 29))
    assert len(seen) == 2


@pytest.mark.parametrize("name", [name for name in BACKBONES if "pool_indices" in BACKBONES.get(name).capabilities])
def test_unpooling_works_over_every_backbone_that_offers_its_pools(name: str) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get(name).build(3)
        decoder = build_unet(backbone.specs, upsample="max_unpool", out_stride=backbone.specs[0].stride)
    features = backbone(torch.zeros(1, 3, 97, 131, device="meta"))
    for spec, pool in zip(backbone.specs, features.pools, strict=False):
        assert pool.channels == spec.channels
    assert decoder(features, (97, 131)).shape == (1, decoder.out_channels, *features.maps[0].shape[2:])


def test_unpooling_beyond_the_finest_map_is_refused() -> None:
    with pytest.raises(
        UsageError, match="out_stride=1: max_unpool ends at the backbone's finest map; use out_stride=2"
    ):
        create_model(num_classes=2, upsample="max_unpool", backbone_options={"stem_stride": 2})


@pytest.mark.parametrize("upsample", ["bed_of_nails", "max_unpool", "pixel_shuffle"])
def test_an_exported_graph_is_right_at_sizes_it_was_not_traced_with(upsample: str) -> None:
    model = create_model(num_classes=3, upsample=upsample, backbone_options={"width": 4, "depth": 4}).eval()
    height, width = (8 * torch.export.Dim(name, min=2, max=64) for name in ("rows", "columns"))
    sizes = ({2: height, 3: width},)
    graph = torch.export.export(model, (torch.randn(1, 3, 32, 48),), dynamic_shapes=sizes).module()
    for size in ((16, 24), (72, 40)):
        images = torch.randn(1, 3, *size)
        torch.testing.assert_close(graph(images)["segment"], model(images)["segment"])


def test_pools_lead_back_to_the_pixels_they_took() -> None:
    model = create_model(num_classes=2, backbone_options={"width": 4, "depth": 3}).eval()
    features = model.backbone(torch.randn(1, 3, 17, 16))
    assert len(features.pools) == 2
    for map_, pool in zip(features.maps, features.pools, strict=False):
        assert pool.size == tuple(map_.shape[-2:])
        assert pool.channels == map_.shape[1]
        taken = map_.flatten(2).gather(2, pool.indices.flatten(2)).view(pool.indices.shape)
        assert torch.equal(taken, torch.nn.functional.max_pool2d(map_, 2))


def test_wrong_number_of_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="option channels has 2 values; this backbone needs 4"):
        create_model(num_classes=2, decoder_options={"channels": (64, 32)})


def test_a_stem_stride_makes_every_level_coarser_and_the_logits_stay_full() -> None:
    model = create_model(
        num_classes=3,
        in_channels=2,
        backbone_options={"width": 4, "depth": 3, "stem_stride": 2},
        decoder_options={"out_stride": 2},
    )
    assert [(spec.channels, spec.stride) for spec in model.backbone.specs] == [(4, 2), (8, 4), (16, 8)]
    maps = model.backbone(torch.randn(1, 2, 32, 48)).maps
    assert [tuple(found.shape[1:]) for found in maps] == [(4, 16, 24), (8, 8, 12), (16, 4, 6)]
    logits = model(torch.randn(1, 2, 37, 53))["segment"]
    assert logits.shape == (1, 3, 37, 53)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    first = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    assert first.weight.shape == (4, 8, 3, 3), "2 channels in blocks of 2 x 2 pixels"


def test_a_coarser_map_leaves_finer_skips_out() -> None:
    small = {"width": 4, "depth": 4}
    full = create_model(num_classes=2, backbone_options=small)
    half = create_model(num_classes=2, backbone_options=small, decoder_options={"out_stride": 2})
    for model, stride, blocks in ((full, 1, 3), (half, 2, 2)):
        assert isinstance(model.decoder, UnetDecoder)
        assert (model.decoder.out_stride, len(model.decoder.blocks)) == (stride, blocks)
    assert half(torch.randn(1, 3, 19, 23))["segment"].shape == (1, 2, 19, 23)


def test_a_map_too_coarse_is_refused() -> None:
    with pytest.raises(UsageError, match="out_stride=16 leaves nothing to decode; use 1"):
        create_model(num_classes=2, backbone_options={"depth": 4}, decoder_options={"out_stride": 16})


def test_a_single_map_is_refused_with_what_helps() -> None:
    with pytest.raises(UsageError, match="unet needs two maps or more; this backbone has one; put a P into the"):
        create_model(num_classes=2, backbone_options={"pattern": "[8]*2"})
    options: dict[str, Option] = {"pattern": "[8]", "stem_stride": 2}
    with pytest.raises(UsageError, match="out_stride=2 leaves nothing to decode; use 1"):
        create_model(num_classes=2, backbone_options=options, decoder_options={"out_stride": 2})
    assert create_model(num_classes=2, backbone_options=options, decoder_options={"out_stride": 1}).decoder is not None
