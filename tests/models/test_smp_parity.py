"""Our networks of smp's parts against smp's own networks, with the same weights."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor

from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.weights import load_weights
from tests.models.test_contracts import random_images

ARCHITECTURES = (
    "unet", "unetplusplus", "manet", "linknet", "fpn", "pspnet", "deeplabv3", "deeplabv3plus", "pan", "upernet", "segformer"
)  # fmt: skip


def randomized(network: torch.nn.Module) -> dict[str, Tensor]:
    """Its state, with statistics of batch normalization that are not the identity."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.1
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    return network.state_dict()


def assert_equal_to_smp(
    architecture: str, encoder: str, in_channels: int = 3, options: dict[str, Option] | None = None
) -> None:
    theirs = smp.create_model(architecture, encoder, encoder_weights=None, in_channels=in_channels, classes=5).eval()
    model = create_model(
        f"smp/{encoder}", f"smp/{architecture}", num_classes=5, in_channels=in_channels, decoder_options=options
    ).eval()
    prefixes = {"encoder": "backbone.encoder", "decoder": "decoder.decoder", "segmentation_head.0": "heads.segment.convolution"}
    state = {}
    for key, tensor in randomized(theirs).items():
        old = next(prefix for prefix in prefixes if key.startswith(prefix + "."))
        state[prefixes[old] + key.removeprefix(old)] = tensor
    model.load_state_dict(state, strict=True)
    images = random_images(in_channels, (128, 256))
    with torch.inference_mode():
        expected = theirs(images)
        torch.testing.assert_close(model(images)["segment"], expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


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
    state = {}
    for key, tensor in randomized(theirs).items():
        new = key.replace("segmentation_head.head.4", "heads.segment.convolution")
        new = new.replace("segmentation_head.head", "decoder.refinement")
        state[{"encoder": "backbone.encoder", "decoder": "decoder.decoder"}.get(head := new.split(".")[0], head) + new.removeprefix(head)] = tensor
    state = {key.replace("decoder.decoder.refinement", "decoder.refinement"): tensor for key, tensor in state.items()}
    model.load_state_dict(state, strict=True)
    images = random_images(3, (224, 224))
    with torch.inference_mode():
        expected = theirs(images)
        torch.testing.assert_close(model(images)["segment"], expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def test_a_file_of_smps_whole_network_loads(tmp_path: pytest.TempPathFactory) -> None:
    from safetensors.torch import save_file

    theirs = smp.Unet("resnet18", encoder_weights=None, classes=2)
    path = str(tmp_path) + "/smp.safetensors"
    save_file(theirs.state_dict(), path)
    model = create_model("smp/resnet18", "smp/unet", num_classes=2)
    assert load_weights(model, path).new == ()
