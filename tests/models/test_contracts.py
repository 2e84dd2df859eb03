"""What every registered backbone and decoder promises, tested over the registry."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES
from segkit.models.config import OBJECT_DECODERS, ModelConfig, Option
from segkit.models.decoders._base import DECODERS
from segkit.models.factory import build_model, create_model
from segkit.models.model import Model
from tests.models.backbones.sensitive import randomize

# One of each class of encoders, the smallest.
BACKBONE_CLASSES = (
    "alexnet_tv",
    "alexnet_two_tower",
    "densenet121",
    "enet",
    "googlenet",
    "googlenet_tv",
    "highway19",
    "inception_v3",
    "lenet",
    "lenet5",
    "nin",
    "plain",
    "resnet18",
    "resnet50",
    "resnet50_tv",
    "smp/densenet121",
    "smp/dpn68",
    "smp/efficientnet-b0",
    "smp/inceptionv4",
    "smp/mit_b0",
    "smp/mobilenet_v2",
    "smp/mobileone_s0",
    "smp/resnet18",
    "smp/se_resnet50",
    "smp/timm-efficientnet-b0",
    "smp/timm-skresnet18",
    "smp/tu-convnext_atto",
    "smp/tu-vit_tiny_patch16_224",
    "smp/vgg11",
    "smp/xception",
    "unet2015",
    "vgg11",
)
# The transformers of smp draw random numbers in a way the meta device refuses, and the larger ones take seconds each.
LARGE_TRANSFORMERS = {f"smp/mit_b{size}" for size in range(1, 6)}
# Their fully connected layers, up to 120 million weights, have shapes only; the tests of the family compute them.
WIDE_CLASSIFIERS = {"alexnet_tv", "alexnet_two_tower", "vgg11"}
BACKBONE_OF = {
    "deconvnet": "plain",
    "enet": "enet",
    "segnet": "plain",
    "unet2015": "unet2015",
    "smp/dpt": "smp/tu-vit_tiny_patch16_224",
}
# Built small: at its paper's width a test takes seconds, and at its depth it loses more than an image of 64 x 64.
OPTIONS_OF: dict[str, dict[str, Option]] = {"unet2015": {"width": 4, "depth": 3}}
# Without the up to 120 million parameters of the papers' fully connected layers.
DECODER_OPTIONS_OF: dict[str, dict[str, Option]] = {
    name: {"hidden": (8, 8)} for name in ("deconvnet", "fcn32s", "fcn16s", "fcn8s")
}
# Their logits have the image's size; what finds objects one by one has its own test file.
MAP_DECODERS = [name for name in DECODERS if name not in OBJECT_DECODERS]
# Maps without the border of the image: the stride rule is for whole ones. Their own test file measures them.
VALID_BACKBONES = {"unet2015"}
PRIME_SIZE = (97, 131)


def backbone_of(decoder: str) -> str:
    return BACKBONE_OF.get(decoder, "smp/resnet18")


def model_of(decoder: str, num_classes: int = 3, in_channels: int = 3) -> Model:
    return create_model(
        backbone_of(decoder),
        decoder,
        num_classes=num_classes,
        in_channels=in_channels,
        backbone_options=OPTIONS_OF.get(decoder),
        decoder_options=DECODER_OPTIONS_OF.get(decoder),
    )


def with_margin(model: Model, *size: int) -> tuple[int, int]:
    height, width = (side + 2 * model.margin for side in size)
    return height, width


def saved_and_built_again(model: Model, path: Path) -> Model:
    """The network of the model's configuration with the weights of a file, both written and read."""
    save_file(model.state_dict(), path)
    config = ModelConfig.parse(json.loads(json.dumps(model.config.model_dump(mode="json"))))
    again = build_model(config).eval()
    again.load_state_dict(load_file(path))
    assert again.config == model.config
    return again


def replace_zeros(network: nn.Module) -> None:
    """Give parameters that start with zeros random values, as training does: no gradient passes a layer of zeros."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1, generator=generator)


def without_gradient(network: nn.Module, outputs: Iterable[torch.Tensor]) -> list[str]:
    """The trained parameters on which a random sum of the outputs does not depend.

    Batch normalization subtracts a bias in front of it: of that the gradient is rounding, or zero.
    """
    generator = torch.Generator().manual_seed(1)
    torch.stack(
        [(output * torch.randn(output.shape, generator=generator)).sum() for output in outputs]
    ).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())
    trained = [(name, p.grad) for name, p in network.named_parameters() if p.requires_grad]
    return [name for name, g in trained if g is None or not (g.any() or name.endswith("bias"))]


def random_images(channels: int, size: tuple[int, int], count: int = 1) -> torch.Tensor:
    return torch.randn(count, channels, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in LARGE_TRANSFORMERS | VALID_BACKBONES])
def test_declared_channels_and_strides_are_real(name: str) -> None:
    device = "cpu" if name == "smp/mit_b0" else "meta"
    with torch.device(device):
        backbone = BACKBONES.get(name).build(3)
    multiple = 16 if "vit" in name else 1
    size = tuple(ceil(side / multiple) * multiple for side in PRIME_SIZE)
    features = backbone(torch.zeros(2, 3, *size, device=device))
    assert len(features.maps) == len(backbone.specs)
    assert [spec.stride for spec in backbone.specs] == sorted(spec.stride for spec in backbone.specs)
    for spec, map_ in zip(backbone.specs, features.maps, strict=True):
        assert map_.shape[:2] == (2, spec.channels)
        assert all(abs(have - side / spec.stride) <= 1 for have, side in zip(map_.shape[2:], size, strict=True))


@pytest.mark.parametrize("name", [name for name in BACKBONE_CLASSES if name not in VALID_BACKBONES])
def test_multiples_of_the_stride_give_exact_maps_of_images_with_16_channels(name: str) -> None:
    backbone = BACKBONES.get(name).build(16).eval()
    size = (backbone.stride_multiple, backbone.stride_multiple * 2)
    with torch.inference_mode():
        features = backbone(random_images(16, size))
    for spec, map_ in zip(backbone.specs, features.maps, strict=True):
        assert map_.shape == (1, spec.channels, size[0] // spec.stride, size[1] // spec.stride)


@pytest.mark.parametrize("name", BACKBONE_CLASSES)
def test_every_trained_parameter_of_a_backbone_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    backbone = BACKBONES.get(name).build(3, **OPTIONS_OF.get(name, {}))
    replace_zeros(backbone)
    assert without_gradient(backbone, backbone(random_images(3, (64, 64), count=2)).maps) == []


@pytest.mark.parametrize("name", BACKBONE_CLASSES)
@pytest.mark.parametrize("task", ["segment", "classify"])
def test_every_backbone_serves_both_tasks_at_a_prime_size(name: str, task: Literal["segment", "classify"]) -> None:
    device = "meta" if task == "classify" and name in WIDE_CLASSIFIERS else "cpu"
    with torch.device(device):
        model = create_model(
            name,
            "unet2015" if name in VALID_BACKBONES and task == "segment" else None,
            task=task,
            num_classes=5,
            in_channels=1,
            backbone_options=OPTIONS_OF.get(name),
        ).eval()
    with torch.inference_mode():
        logits = model(random_images(1, with_margin(model, 37, 53)).to(device))[task]
    assert logits.shape == ((1, 5, 37, 53) if task == "segment" else (1, 5))
    assert device == "meta" or logits.isfinite().all()


@pytest.mark.parametrize("name", MAP_DECODERS)
@pytest.mark.parametrize("size", [(1, 1), (37, 53)])
def test_every_decoder_gives_logits_of_the_images_size(name: str, size: tuple[int, int]) -> None:
    model = model_of(name, in_channels=4).eval()
    with torch.inference_mode():
        logits = model(random_images(4, with_margin(model, *size)))["segment"]
    assert logits.shape == (1, 3, *size)
    assert logits.isfinite().all()


@pytest.mark.parametrize("name", MAP_DECODERS)
def test_declared_channels_and_stride_of_a_decoder_are_real(name: str) -> None:
    model = model_of(name).eval()
    assert model.decoder is not None
    side = model.stride_multiple * 2 + model.stride_remainder
    with torch.inference_mode():
        map_ = model.decoder(model.backbone(random_images(3, with_margin(model, side, side))), (side, side))
    assert map_.shape == (
        1,
        model.decoder.out_channels,
        side // model.decoder.out_stride,
        side // model.decoder.out_stride,
    )


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        ("plain", {"depth": 2, "width": 4}),
        ("plain", {"depth": 4, "width": 4}),
        ("plain", {"depth": 7, "width": 4}),
        ("smp/resnet18", {"depth": 3}),
        ("smp/resnet18", {"depth": 4, "output_stride": 8}),
        ("smp/mit_b0", {"depth": 3}),
        ("smp/tu-convnext_atto", {"output_stride": 16}),
        ("smp/tu-vit_tiny_patch16_224", {}),
    ],
)
def test_what_is_not_refused_at_assembly_runs(backbone: str, options: dict[str, Option]) -> None:
    assembled = 0
    for decoder in MAP_DECODERS:
        try:
            model = create_model(
                backbone,
                decoder,
                num_classes=2,
                backbone_options=options,
                decoder_options=DECODER_OPTIONS_OF.get(decoder),
            ).eval()
        except UsageError:
            continue
        assembled += 1
        with torch.inference_mode():
            assert model(random_images(3, (19, 23)))["segment"].shape == (1, 2, 19, 23)
    assert assembled >= 1


@pytest.mark.parametrize("name", MAP_DECODERS)
def test_every_trained_parameter_of_a_decoder_gets_a_gradient(name: str) -> None:
    torch.manual_seed(1)  # of smp/manet's squeezed layers, a few units wide, none is below zero for both images
    model = model_of(name)
    replace_zeros(model)
    images = random_images(3, with_margin(model, 2 * model.stride_multiple, 2 * model.stride_multiple), count=2)
    assert without_gradient(model, model(images).values()) == []


@pytest.mark.parametrize("name", MAP_DECODERS)
def test_a_saved_network_built_again_from_its_config_gives_the_same_output(name: str, tmp_path: Path) -> None:
    model = model_of(name, num_classes=2, in_channels=1).eval()
    replace_zeros(model)
    again = saved_and_built_again(model, tmp_path / "weights.safetensors")
    images = random_images(1, with_margin(model, 40, 70))
    with torch.inference_mode():
        logits = model(images)["segment"]
        assert logits.any()
        assert torch.equal(again(images)["segment"], logits)


# One small backbone of every family; the wide fully connected layers of AlexNet and VGG are those of plain.
@pytest.mark.parametrize(
    ("backbone", "task", "options"),
    [
        ("alexnet", "segment", {}),
        ("densenet121", "classify", {"growth_rate": 8}),
        ("densenet121", "segment", {"growth_rate": 8}),
        ("enet", "classify", {}),
        ("enet", "segment", {}),
        ("googlenet_tv", "classify", {}),
        ("googlenet_tv", "segment", {}),
        ("highway19", "classify", {"depth": 8}),
        ("highway19", "segment", {"depth": 8}),
        ("inception_v3", "classify", {}),
        ("lenet", "classify", {}),
        ("lenet", "segment", {}),
        ("lenet5", "classify", {}),
        ("lenet5", "classify", {"output": "rbf"}),
        ("lenet5", "segment", {}),
        ("nin", "classify", {}),
        ("nin", "segment", {}),
        ("plain", "classify", {"pattern": "[4] P [8] F8 F8"}),
        ("plain", "segment", {"pattern": "[4] P [8]"}),
        ("resnet18", "classify", {"norm": "group"}),
        ("resnet18", "segment", {}),
        ("unet2015", "classify", {"width": 4, "depth": 3}),
        ("vgg11_bn", "segment", {}),
    ],
)
def test_a_saved_backbone_built_again_gives_the_same_output(
    backbone: str, task: Literal["segment", "classify"], options: dict[str, Option], tmp_path: Path
) -> None:
    model = create_model(backbone, task=task, num_classes=3, in_channels=1, backbone_options=options)
    images = random_images(1, (40, 70), count=2)
    randomize(model, images)
    saved = model.state_dict()
    for name, buffer in model.named_buffers():
        # Others than the running statistics.
        if "running" not in name and name in saved and buffer.is_floating_point():
            buffer += torch.rand(buffer.shape, generator=torch.Generator().manual_seed(0))
    again = saved_and_built_again(model, tmp_path / "weights.safetensors")
    with torch.inference_mode():
        logits = model(images)[task]
        assert (logits[0] - logits[1]).abs().max() > 1e-3
        assert torch.equal(again(images)[task], logits)


@pytest.mark.parametrize("backbone", ["plain", "smp/resnet18"])
def test_equal_seeds_give_equal_initial_weights(backbone: str) -> None:
    def seeded() -> Model:
        torch.manual_seed(7)
        return create_model(backbone, num_classes=2)

    first, second = seeded().state_dict(), seeded().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
