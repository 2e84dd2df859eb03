"""SegNet: the paper's convolutions counted by hand, and its unpooling compared with torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.decoders.segnet import SegnetDecoder, build_segnet
from segkit.models.factory import create_model
from segkit.models.features import FeatureSpec
from segkit.models.model import Model


def parameters(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def random_images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def decoder_of(model: Model) -> SegnetDecoder:
    assert isinstance(model.decoder, SegnetDecoder)
    return model.decoder


def test_the_papers_network_on_vgg16_counted_by_hand() -> None:
    """Badrinarayanan et al. 2017, figure 2: the 13 convolutions of VGG-16 and 13 that mirror them."""
    with torch.device("meta"):
        model = create_model("vgg16_bn", "segnet", num_classes=21)
    decoder = decoder_of(model)
    convolutions = [module for module in decoder.modules() if isinstance(module, nn.Conv2d)]
    assert [(layer.in_channels, layer.out_channels) for layer in convolutions] == [
        *((512, 512), (512, 512), (512, 512)),
        *((512, 512), (512, 512), (512, 256)),
        *((256, 256), (256, 256), (256, 128)),
        *((128, 128), (128, 64)),
        (64, 64),
    ]
    weights = 9 * (5 * 512**2 + 512 * 256 + 2 * 256**2 + 256 * 128 + 128**2 + 128 * 64 + 64**2)
    scales_and_shifts = 2 * (5 * 512 + 3 * 256 + 2 * 128 + 2 * 64)
    assert parameters(decoder) == weights + scales_and_shifts == 14_716_160
    # The head is the last of the 13.
    assert parameters(model.heads) == 64 * 9 * 21 + 21
    # VGG-16: 14,710,464 weights, 2 * 4,224 scales and shifts. With the biases of 4,224 and 3,712 channels that batch
    # normalization takes away again it would be 29.46 M.
    assert parameters(model) == 14_710_464 + 2 * 4_224 + 14_716_160 + 12_117 == 29_455_125 - 4_224 - 3_712


def test_unpooling_and_convolutions_as_torch_does_them_one_by_one() -> None:
    model = create_model("plain", "segnet", num_classes=2, backbone_options={"width": 2, "depth": 3}).eval()
    decoder = decoder_of(model)
    path: Any = decoder.path
    with torch.inference_mode():
        features = model.backbone(random_images(2, 3, 13, 18))
        x = path.unpoolings[0].adaptation(features.maps[-1])
        for pool, stage in zip(reversed(features.pools), path.stages, strict=True):
            x = functional.max_unpool2d(x, pool.indices, [2, 2], output_size=list(pool.size))
            for convolution, norm, _ in stage:
                x = functional.conv2d(x, convolution.weight, padding=1)
                x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        assert x.shape == (2, 2, 13, 18)
        torch.testing.assert_close(decoder(features, (13, 18)), x)


def test_convolutions_can_be_chosen_for_another_encoder() -> None:
    """VGG-19 has 2, 2, 4, 4 and 4 convolutions, VGG-11 a single one at its finest levels: there only the head."""
    with torch.device("meta"):
        deep = create_model("vgg19_bn", "segnet", num_classes=2, decoder_options={"convolutions": (4, 4, 4, 2, 2)})
        flat = create_model("vgg11_bn", "segnet", num_classes=2, decoder_options={"convolutions": (2, 2, 2, 1, 1)})
    assert [len(list(stage.children())) for stage in decoder_of(deep).path.stages] == [4, 4, 4, 2, 1]
    assert [len(list(stage.children())) for stage in decoder_of(flat).path.stages] == [2, 2, 2, 1, 0]
    assert decoder_of(flat).out_channels == 64


@pytest.mark.parametrize("backbone", ["plain", "enet", "vgg11", "vgg11_bn"])
def test_prime_sizes_and_a_batch_of_one_train(backbone: str) -> None:
    model = create_model(backbone, "segnet", num_classes=3).train()
    features = model.backbone(random_images(1, 3, 67, 73))
    map_ = decoder_of(model)(features, (67, 73))
    assert map_.shape[2:] == features.maps[0].shape[2:]
    logits = model.heads["segment"](map_, (67, 73))
    assert logits.shape == (1, 3, 67, 73)
    logits.square().mean().backward()
    unreached = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert unreached == []


def test_a_backbone_without_indices_is_refused_with_those_that_have_them() -> None:
    expected = r"segnet needs pool_indices, which backbone smp/resnet18 lacks; backbones that have it: .*plain.*vgg11"
    with pytest.raises(UsageError, match=expected):
        create_model("smp/resnet18", "segnet", num_classes=2)


def test_one_number_of_convolutions_per_pool() -> None:
    specs = [FeatureSpec(4, 1), FeatureSpec(8, 2), FeatureSpec(8, 4)]
    with pytest.raises(UsageError, match=r"convolutions has 3 values; this backbone needs 2, one per pool"):
        build_segnet(specs, convolutions=(2, 2, 2))
    with pytest.raises(UsageError, match=r"segnet needs two maps or more with a pool between; this backbone has one"):
        build_segnet(specs[:1])
