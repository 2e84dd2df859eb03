"""The assembled network: sizes, padding, precision, memory layout, export."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.models.config import ModelConfig
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.ops.sizes import crop, pad_mirrored, padding_to_multiple
from tests.models.test_contracts import random_images

SMALL = {"width": 8, "depth": 4}


def small_model(upsample: str = "transposed") -> Model:
    torch.manual_seed(0)
    return create_model(num_classes=3, upsample=upsample, backbone_options=SMALL).eval()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 13), (8, 16), (101, 103)])
def test_padding_inside_the_network_is_the_pipelines(size: tuple[int, int]) -> None:
    model = small_model()
    images = random_images(3, size, count=2)
    padding = padding_to_multiple(*size, model.stride_multiple)
    padded = torch.from_numpy(pad_mirrored(images.numpy(), padding))
    with torch.inference_mode():
        inside = model(images)["segment"]
        outside = crop(model(padded)["segment"].numpy(), padding)
    assert inside.shape == (2, 3, *size)
    np.testing.assert_array_equal(inside.numpy(), outside)


def test_images_of_a_batch_do_not_influence_each_other() -> None:
    model = small_model()
    images = random_images(3, (32, 32), count=3)
    with torch.inference_mode():
        together = model(images)["segment"]
        alone = torch.cat([model(image[None])["segment"] for image in images])
    torch.testing.assert_close(together, alone)


def test_classification_averages_the_coarsest_map() -> None:
    model = create_model(num_classes=4, task="classify", backbone_options=SMALL).eval()
    images = random_images(3, (32, 48), count=2)
    linear = model.heads["classify"].linear
    assert isinstance(linear, nn.Linear)
    with torch.inference_mode():
        coarsest = model.backbone(images).maps[-1].numpy()
        expected = coarsest.mean(axis=(2, 3)) @ linear.weight.numpy().T + linear.bias.numpy()
        np.testing.assert_allclose(model(images)["classify"].numpy(), expected, rtol=1e-5, atol=1e-6)


def test_wrong_number_of_channels_is_said() -> None:
    with pytest.raises(UsageError, match="the images have 1 channels, the model takes 3"):
        small_model()(torch.zeros(1, 1, 32, 32))


def test_stride_multiple_is_what_backbone_and_decoder_need() -> None:
    assert small_model().stride_multiple == 8
    assert create_model("smp/resnet18", "unet", num_classes=2).stride_multiple == 32
    # The pyramid attention network halves its coarsest map, at stride 16, three times.
    assert create_model("smp/resnet18", "smp/pan", num_classes=2).stride_multiple == 128


@pytest.mark.parametrize("upsample", ["nearest", "bilinear", "transposed"])
@pytest.mark.parametrize("size", [(32, 32), (30, 31)])
def test_bfloat16_and_channels_last_reach_every_convolution(upsample: str, size: tuple[int, int]) -> None:
    model = small_model(upsample).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrong: list[str] = []

    def watch(name: str) -> None:
        def check(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not inputs[0].is_contiguous(memory_format=torch.channels_last) or output.dtype != torch.bfloat16:
                wrong.append(name)

        model.get_submodule(name).register_forward_hook(check)

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            watch(name)
    images = random_images(3, size, count=2).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        logits = model(images)["segment"]
    assert wrong == []
    assert logits.dtype == torch.bfloat16


def test_bfloat16_stays_close_to_float32() -> None:
    model = small_model()
    images = random_images(3, (64, 64))
    with torch.inference_mode():
        exact = model(images)["segment"]
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(images)["segment"].float()
    assert float((exact - rounded).abs().max()) < 0.05 * float(exact.abs().max())


@pytest.mark.parametrize("upsample", ["nearest", "bilinear", "transposed"])
def test_an_exported_graph_is_right_at_sizes_it_was_not_traced_with(upsample: str) -> None:
    model = small_model(upsample)
    height, width = (8 * torch.export.Dim(name, min=2, max=64) for name in ("rows", "columns"))
    graph = torch.export.export(model, (random_images(3, (32, 48)),), dynamic_shapes=({2: height, 3: width},)).module()
    for size in ((16, 24), (72, 40)):
        images = random_images(3, size)
        torch.testing.assert_close(graph(images)["segment"], model(images)["segment"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_default_network_gives_on_cuda_what_it_gives_on_the_cpu() -> None:
    model = small_model()
    images = random_images(3, (30, 45), count=2)
    with torch.inference_mode():
        expected = model(images)["segment"]
        given = model.to("cuda")(images.to("cuda"))["segment"].cpu()
    torch.testing.assert_close(given, expected, rtol=1e-2, atol=1e-2)


def test_a_config_without_decoder_means_unet_for_segmentation_and_none_for_classification() -> None:
    assert ModelConfig(heads={"segment": 2}).decoder == "unet"
    assert ModelConfig(heads={"classify": 2}).decoder is None
