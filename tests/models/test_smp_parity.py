"""Our networks of smp's parts against smp's own networks, with the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import BatchNorm2d, Module

from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.models.weights import load_weights
from tests.models.test_contracts import random_images

ARCHITECTURES = [name for name in smp.MODEL_ARCHITECTURES_MAPPING if name != "dpt"]


def randomized(network: Module) -> dict[str, Tensor]:
    """Its state, with statistics of batch normalization that are not the identity."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.1
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    return network.state_dict()


def assert_equal_output(theirs: Module, model: Model, head: dict[str, str], size: tuple[int, int]) -> None:
    """Give `model` the weights of smp's network and compare the logits; `head` names the parts of smp's head."""
    renaming = {"encoder.": "backbone.encoder.", "decoder.": "decoder.decoder.", **head}
    state = {}
    for name, tensor in randomized(theirs).items():
        prefix = next(prefix for prefix in renaming if name.startswith(prefix))
        state[renaming[prefix] + name.removeprefix(prefix)] = tensor
    model.load_state_dict(state, strict=True)
    images = random_images(model.config.in_channels, size)
    with torch.inference_mode():
        expected = theirs(images)
        torch.testing.assert_close(model(images)["segment"], expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def assert_equal_to_smp(
    architecture: str, encoder: str, in_channels: int = 3, options: dict[str, Option] | None = None
) -> None:
    theirs = smp.create_model(architecture, encoder, encoder_weights=None, in_channels=in_channels, classes=5).eval()
    model = create_model(
        f"smp/{encoder}", f"smp/{architecture}", num_classes=5, in_channels=in_channels, decoder_options=options
    ).eval()
    assert_equal_output(theirs, model, {"segmentation_head.0.": "heads.segment.convolution."}, (128, 256))


def test_unet_over_resnet34_equals_smp() -> None:
    assert_equal_to_smp("unet", "resnet34")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_equals_smp(architecture: str) -> None:
    assert_equal_to_smp(architecture, "resnet18", in_channels=4)


@pytest.mark.parametrize("architecture", ["unet", "fpn", "segformer", "upernet"])
def test_architectures_over_a_transformer_without_stride_2_equal_smp(architecture: str) -> None:
    assert_equal_to_smp(architecture, "mit_b0")


def test_architectures_over_vgg_equal_smp_with_its_center_block() -> None:
    assert_equal_to_smp("unet", "vgg11", options={"center": True})


def test_dpt_equals_smp() -> None:
    name = "tu-vit_tiny_patch16_224"
    theirs = smp.DPT(name, encoder_weights=None, classes=5, dynamic_img_size=True).eval()
    model = create_model(f"smp/{name}", "smp/dpt", num_classes=5).eval()
    last, inner = "segmentation_head.head.4.", "segmentation_head.head."
    assert_equal_output(theirs, model, {last: "heads.segment.convolution.", inner: "decoder.refinement."}, (224, 224))


def test_a_file_of_smps_whole_network_loads(tmp_path: Path) -> None:
    save_file(smp.Unet("resnet18", encoder_weights=None, classes=2).state_dict(), tmp_path / "smp.safetensors")
    model = create_model("smp/resnet18", "smp/unet", num_classes=2)
    assert load_weights(model, tmp_path / "smp.safetensors").new == ()
