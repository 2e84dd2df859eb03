"""DeconvNet: the paper's table 1, size by size, and its parameters counted by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.decoders.deconvnet import DeconvnetDecoder
from segkit.models.factory import create_model
from segkit.models.model import Model


def parameters(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def random_images(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def decoder_of(model: Model) -> DeconvnetDecoder:
    assert isinstance(model.decoder, DeconvnetDecoder)
    return model.decoder


def small_model(backbone: str = "plain", depth: int = 3) -> Model:
    options = {"width": 2, "depth": depth} if backbone == "plain" else {}
    return create_model(
        backbone, "deconvnet", num_classes=3, backbone_options=options, decoder_options={"hidden": (5, 6)}
    )


def test_the_papers_table_size_by_size() -> None:
    """Noh et al. 2015, table 1: 224 x 224 to one vector and back."""
    with torch.device("meta"):
        model = create_model("vgg16_bn", "deconvnet", num_classes=21).eval()
    decoder = decoder_of(model)
    shapes: list[tuple[int, ...]] = []
    for module in decoder.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda _, __, result: shapes.append(tuple(result.shape[1:])))
    logits = model(torch.zeros(1, 3, 224, 224, device="meta"))["segment"]
    assert shapes == [
        *((4096, 1, 1), (4096, 1, 1), (512, 7, 7)),
        *((512, 14, 14), (512, 14, 14), (512, 14, 14)),
        *((512, 28, 28), (512, 28, 28), (256, 28, 28)),
        *((256, 56, 56), (256, 56, 56), (128, 56, 56)),
        *((128, 112, 112), (64, 112, 112)),
        *((64, 224, 224), (64, 224, 224)),
    ]
    assert logits.shape == (1, 21, 224, 224)


def test_parameters_counted_by_hand() -> None:
    """The paper has 252 M, with biases that batch normalization takes away again."""
    with torch.device("meta"):
        model = create_model("vgg16_bn", "deconvnet", num_classes=21)
    windows = 512 * 49 * 4096 + 4096 * 4096 + 4096 * 49 * 512
    mirrored = 9 * (5 * 512**2 + 512 * 256 + 2 * 256**2 + 256 * 128 + 128**2 + 128 * 64 + 2 * 64**2)
    scales_and_shifts = 2 * (4096 + 4096 + 512 + 5 * 512 + 3 * 256 + 2 * 128 + 3 * 64)
    assert parameters(model.decoder) == windows + mirrored + scales_and_shifts
    assert parameters(model.heads) == 64 * 21 + 21
    assert parameters(model) == pytest.approx(252e6, rel=1e-3)


def test_every_step_as_torch_does_it() -> None:
    model = small_model().eval()
    decoder = decoder_of(model)
    path: Any = decoder.path
    with torch.inference_mode():
        features = model.backbone(random_images(2, 3, 41, 38))
        x = features.maps[-1]
        assert x.shape == (2, 8, 10, 9)
        for layer in (decoder.fc6, decoder.fc7, decoder.deconvolution_fc6):
            x = layer(x)
        assert x.shape == (2, 4, 10, 9), "deconv-fc6 undoes what fc6 took away, with the channels of the last pool"
        for pool, stage in zip(reversed(features.pools), path.stages, strict=True):
            x = functional.max_unpool2d(x, pool.indices, [2, 2], output_size=list(pool.size))
            for deconvolution, norm, _ in stage:
                # At stride 1 a transposed convolution is a convolution with channels swapped and filters turned around.
                x = functional.conv2d(x, deconvolution.weight.transpose(0, 1).flip(2, 3), padding=1)
                x = functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        torch.testing.assert_close(decoder(features, (41, 38)), x)


def test_a_map_smaller_than_the_window_is_extended_by_zeros() -> None:
    decoder = decoder_of(small_model().eval())
    seen: list[Tensor] = []
    decoder.fc6.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model = small_model().eval()
    features = model.backbone(random_images(1, 3, 13, 37))
    with torch.inference_mode():
        assert decoder(features, (13, 37)).shape == (1, 2, 13, 37)
    assert seen[0].shape == (1, 8, 7, 9)
    assert torch.equal(seen[0][:, :, :3], features.maps[-1])
    assert not seen[0][:, :, 3:].any()


@pytest.mark.parametrize("kind", ["conv", "transposed"])
def test_layers_start_with_a_deviation_for_their_fan_in(kind: str) -> None:
    torch.manual_seed(0)
    decoder = decoder_of(create_model("plain", "deconvnet", num_classes=2, decoder_options={"hidden": (64, 128)}))
    layer = decoder.fc6[0] if kind == "conv" else decoder.path.stages[0][0][0]  # type: ignore[index]
    assert isinstance(layer, nn.Conv2d if kind == "conv" else nn.ConvTranspose2d)
    fan_in = layer.in_channels * layer.kernel_size[0] ** 2
    assert layer.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.02)


@pytest.mark.parametrize(("backbone", "size"), [("plain", (37, 53)), ("enet", (67, 73)), ("vgg11", (61, 263))])
def test_prime_sizes_and_a_batch_of_one_train(backbone: str, size: tuple[int, int]) -> None:
    model = small_model(backbone).train()
    features = model.backbone(random_images(1, 3, *size))
    logits = model.heads["segment"](decoder_of(model)(features, size), size)
    assert logits.shape == (1, 3, *size)
    logits.square().mean().backward()
    unreached = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert unreached == []


def test_training_on_one_window_says_what_to_do() -> None:
    model = small_model().train()
    with pytest.raises(UsageError, match=r"one image whose last map is 7 x 7: .* use a larger batch or a map larger"):
        model(random_images(1, 3, 28, 28))
    assert model(random_images(2, 3, 28, 28))["segment"].shape == (2, 3, 28, 28)
    assert model(random_images(1, 3, 28, 32))["segment"].shape == (1, 3, 28, 32)


def test_a_backbone_without_indices_is_refused_with_those_that_have_them() -> None:
    with pytest.raises(UsageError, match=r"deconvnet needs pool_indices, which backbone smp/resnet18 lacks; .*vgg16"):
        create_model("smp/resnet18", "deconvnet", num_classes=2)
