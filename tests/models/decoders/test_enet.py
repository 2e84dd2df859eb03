"""ENet: both halves against the paper's table 1, with every parameter counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES
from segkit.models.backbones.enet import Bottleneck, DownsamplingBottleneck, EnetBackbone, InitialBlock, regular
from segkit.models.config import Option
from segkit.models.decoders.enet import EnetDecoder, FullConvolution, UpsamplingBottleneck, build_enet
from segkit.models.factory import create_model
from segkit.models.features import FeatureSpec, Pool
from segkit.models.model import Model


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def random_tensor(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def decoder_of(model: Model) -> EnetDecoder:
    assert isinstance(model.decoder, EnetDecoder)
    return model.decoder


def bottleneck_parameters(channels: int, middle: int, activation: int) -> int:
    """1 x 1, middle, 1 x 1 without biases; scale and shift each; slopes of a PReLU where `activation` is 1."""
    width = channels // 4
    norms = 2 * (width + width + channels)
    return channels * width + middle + width * channels + norms + activation * (width + width + channels)


def test_the_papers_table_block_by_block() -> None:
    """Paszke et al. 2016, table 1: output sizes for an image of 512 x 512."""
    with torch.device("meta"):
        model = create_model("enet", "enet", num_classes=19).eval()
    shapes: list[tuple[int, ...]] = []

    def note(_: nn.Module, __: tuple[Tensor, ...], result: Tensor | tuple[Tensor, Pool]) -> None:
        map_ = result[0] if isinstance(result, tuple) else result
        shapes.append(tuple(map_.shape[1:]))

    for module in model.modules():
        if isinstance(module, InitialBlock | Bottleneck | DownsamplingBottleneck | UpsamplingBottleneck):
            module.register_forward_hook(note)
    logits = model(torch.zeros(1, 3, 512, 512, device="meta"))["segment"]
    assert shapes == [
        (16, 256, 256),
        *[(64, 128, 128)] * 5,
        *[(128, 64, 64)] * 17,
        *[(64, 128, 128)] * 3,
        *[(16, 256, 256)] * 2,
    ]
    assert logits.shape == (1, 19, 512, 512)


def test_parameters_counted_by_hand() -> None:
    """The paper has 0.37 M; its text leaves open where biases stand and what a quarter is taken of.

    Here, as in the authors' code, of the output channels. The authors' biases in front of batch normalization, which
    have no effect, would add 693.
    """
    model = create_model("enet", "enet", num_classes=19)
    initial = 13 * 3 * 9 + 3 * 16
    first = (16 * 4 * 16 + 16 * 16 * 9 + 16 * 64) + 2 * (16 + 16 + 64) + (16 + 16 + 64)
    stage1 = 4 * bottleneck_parameters(64, 16 * 16 * 9, activation=1)
    second = (64 * 4 * 32 + 32 * 32 * 9 + 32 * 128) + 2 * (32 + 32 + 128) + (32 + 32 + 128)
    square, asymmetric = 32 * 32 * 9, 32 * 32 * 10
    stage2 = 6 * bottleneck_parameters(128, square, 1) + 2 * bottleneck_parameters(128, asymmetric, 1)
    assert parameters(model.backbone) == initial + first + stage1 + second + 2 * stage2 == 337_519
    # Bottlenecks 4.0 and 5.0: reduction, full convolution, expansion, shortcut.
    fourth = (128 * 16 + 16 * 16 * 9 + 16 * 64 + 128 * 64) + 2 * (16 + 16 + 64 + 64)
    fifth = (64 * 4 + 4 * 4 * 9 + 4 * 16 + 64 * 16) + 2 * (4 + 4 + 16 + 16)
    regular_ones = 2 * bottleneck_parameters(64, 16 * 16 * 9, 0) + bottleneck_parameters(16, 4 * 4 * 9, 0)
    full_convolution = 16 * 19 * 4 + 19
    assert parameters(decoder_of(model)) == fourth + fifth + regular_ones + full_convolution == 26_099
    assert parameters(model) == 363_618


def test_dilations_dropout_and_activations_are_the_papers() -> None:
    model = create_model("enet", "enet", num_classes=19)
    backbone, decoder = model.backbone, decoder_of(model)
    assert isinstance(backbone, EnetBackbone)
    for stage in (backbone.stage2, backbone.stage3):
        middles = [list(bottleneck.branch[1].children()) for bottleneck in stage]  # type: ignore[union-attr, index]
        assert [(middle[0].kernel_size, middle[0].dilation[0]) for middle in middles] == [
            ((3, 3), 1),
            ((3, 3), 2),
            ((5, 1), 1),
            ((3, 3), 4),
            ((3, 3), 1),
            ((3, 3), 8),
            ((5, 1), 1),
            ((3, 3), 16),
        ]
        assert [middle[1].kernel_size for middle in middles if middle[0].kernel_size == (5, 1)] == [(1, 5)] * 2
    dropout = [module.p for module in model.modules() if isinstance(module, nn.Dropout2d)]
    assert dropout == [0.01] * 5 + [0.1] * (17 + 5)
    assert not any(isinstance(module, nn.ReLU) for module in backbone.modules())
    assert not any(isinstance(module, nn.PReLU) for module in decoder.modules())


def test_the_initial_block_holds_the_filters_and_the_pooled_image() -> None:
    block = InitialBlock(3).eval()
    images = random_tensor(2, 3, 13, 16)
    with torch.inference_mode():
        block.activation.weight.fill_(1.0)
        result = block(images) * (1 + block.norm.eps) ** 0.5
    torch.testing.assert_close(result[:, 13:, :6], functional.max_pool2d(images, 2))
    torch.testing.assert_close(result[:, :13], functional.conv2d(images, block.convolution.weight, None, 2, 1))
    assert result.shape == (2, 16, 7, 8)


@pytest.mark.parametrize("in_channels", [1, 3, 4, 16])
def test_other_numbers_of_image_channels_keep_the_13_filters(in_channels: int) -> None:
    backbone = BACKBONES.get("enet").build(in_channels).eval()
    assert backbone.specs == (FeatureSpec(13 + in_channels, 2), FeatureSpec(64, 4), FeatureSpec(128, 8))
    with torch.inference_mode():
        features = backbone(random_tensor(1, in_channels, 29, 37))
    assert [tuple(map_.shape[1:]) for map_ in features.maps] == [(13 + in_channels, 15, 19), (64, 7, 9), (128, 3, 4)]
    assert [(pool.channels, pool.size) for pool in features.pools] == [(13 + in_channels, (15, 19)), (64, (7, 9))]


def test_a_downsampling_bottleneck_adds_to_the_pooled_map_and_zeros() -> None:
    block = DownsamplingBottleneck(3, 8, dropout=0.5).eval()
    nn.init.zeros_(block.branch[4][1].weight)  # type: ignore[index]
    x = random_tensor(2, 3, 7, 10)
    with torch.inference_mode():
        result, pool = block(x)
    pooled, indices = functional.max_pool2d(x, 2, return_indices=True)
    torch.testing.assert_close(result[:, :3], torch.where(pooled > 0, pooled, 0.25 * pooled))
    assert not result[:, 3:].any()
    assert torch.equal(pool.indices, indices)
    assert pool.size == (7, 10)


def test_an_upsampling_bottleneck_puts_its_shortcut_back_where_the_maxima_were() -> None:
    block = UpsamplingBottleneck(8, 4).eval()
    nn.init.zeros_(block.expansion[2][1].weight)  # type: ignore[index]
    before = random_tensor(1, 4, 7, 10)
    pooled, indices = functional.max_pool2d(before, 2, return_indices=True)
    x = random_tensor(1, 8, 3, 5)
    with torch.inference_mode():
        result = block(x, Pool(indices, (7, 10)))
        expected = functional.max_unpool2d(block.shortcut(x), indices, [2, 2], output_size=[7, 10]).relu()
    torch.testing.assert_close(result, expected)
    assert pooled.shape[2:] == x.shape[2:]


def test_dropout_leaves_the_shortcut_alone() -> None:
    block = Bottleneck(8, regular(8), dropout=1.0).train()
    x = random_tensor(2, 8, 5, 5)
    torch.testing.assert_close(block(x), functional.prelu(x, torch.full((8,), 0.25)))


@pytest.mark.parametrize("size", [(10, 12), (11, 13)])
def test_the_full_convolution_is_torchs_cut_to_size(size: tuple[int, int]) -> None:
    layer = FullConvolution(4)
    x = random_tensor(1, 4, 5, 6)
    expected = functional.conv_transpose2d(x, layer.convolution.weight, stride=2, padding=1, output_padding=1)
    with torch.inference_mode():
        result = layer(x, size)
    assert result.shape[2:] == size
    torch.testing.assert_close(result[..., :10, :12], expected)


@pytest.mark.parametrize(
    ("backbone", "options", "pools"),
    [("enet", {}, 2), ("plain", {}, 3), ("plain", {"stem_stride": 2, "depth": 3}, 2), ("vgg11_bn", {}, 4)],
)
def test_pools_are_undone_down_to_stride_2_on_any_backbone_with_indices(
    backbone: str, options: dict[str, Option], pools: int
) -> None:
    model = create_model(backbone, "enet", num_classes=3, backbone_options=options).train()
    decoder = decoder_of(model)
    assert len(decoder.upsamplings) == pools
    assert [len(list(stage.children())) for stage in decoder.stages] == [2] * (pools - 1) + [1]
    size = (78, 74) if options else (67, 73)
    logits = decoder(model.backbone(random_tensor(1, 3, *size)), size)
    assert logits.shape == (1, 3, *size)
    logits.square().mean().backward()
    unreached = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert unreached == []


@pytest.mark.parametrize("strides", [(4, 8, 16), (1, 2), (1, 4, 8)])
def test_a_backbone_without_a_map_of_stride_2_is_refused(strides: tuple[int, ...]) -> None:
    given = ", ".join(map(str, strides))
    expected = rf"enet needs a map of stride 2 and coarser ones; this backbone has {given}; 'enet' fits"
    with pytest.raises(UsageError, match=expected):
        build_enet([FeatureSpec(8, stride) for stride in strides], 2)


def test_a_backbone_with_one_map_is_refused() -> None:
    with pytest.raises(UsageError, match=r"enet needs a map of stride 2 and coarser ones; this backbone has 1; 'enet'"):
        create_model("plain", "enet", num_classes=2, backbone_options={"pattern": "[8]*2"})


def test_a_backbone_without_indices_is_refused() -> None:
    with pytest.raises(UsageError, match=r"enet needs pool_indices, which backbone smp/resnet18 lacks; .*enet"):
        create_model("smp/resnet18", "enet", num_classes=2)


def test_the_encoder_classifies_by_global_average_pooling() -> None:
    model = create_model("enet", task="classify", num_classes=10).eval()
    assert parameters(model) == 337_519 + 128 * 10 + 10
    assert model.smallest_image == 8
    with torch.inference_mode():
        assert model(random_tensor(2, 3, 3, 5))["classify"].shape == (2, 10)
