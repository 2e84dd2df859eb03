"""GoogLeNet: sizes, parameters, operations and functions of the paper; torchvision's network."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones import googlenet
from segkit.models.backbones._base import BACKBONES
from segkit.models.backbones._inception import SIDE_MAPS, Branches, InceptionHead, folded_mean, for_usual_input
from segkit.models.backbones.googlenet import GoogLeNet
from segkit.models.factory import create_model
from segkit.models.layers.lrn import LocalResponseNorm
from segkit.models.model import Model
from segkit.models.weights import load_weights
from tests.models.backbones.sensitive import depends_on_images, randomize

NAMES = ("googlenet", "googlenet_tv")


def classifier(name: str, num_classes: int = 1000) -> Model:
    return create_model(name, task="classify", num_classes=num_classes)


def random_images(height: int, width: int, count: int = 2) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def torchvisions(images: Tensor, transform_input: bool = False) -> Any:
    """torchvision's network with random weights and statistics of the images, without dropout."""
    network = torchvision.models.GoogLeNet(
        num_classes=10, transform_input=transform_input, init_weights=False, dropout=0, dropout_aux=0
    )
    randomize(network, images)
    return network


def without_dropout(model: Model) -> Model:
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0
    return model


def table_rows(backbone: GoogLeNet) -> dict[str, nn.Module]:
    modules = [layer for layer in backbone.modules() if isinstance(layer, Branches)]
    rows = dict(zip(("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"), modules, strict=True))
    return {"7x7": backbone.stages[0], "3x3": backbone.stages[1], **rows}


# Table 1: parameters in units of 1024, millions of operations, output size; a row of the table per row here.
TABLE = {
    "7x7": (2.7, 34, (64, 112)),
    "3x3": (112, 360, (192, 56)),
    "3a": (159, 128, (256, 28)),
    "3b": (380, 304, (480, 28)),
    "4a": (364, 73, (512, 14)),
    "4b": (437, 88, (512, 14)),
    "4c": (463, 100, (512, 14)),
    "4d": (580, 119, (528, 14)),
    "4e": (840, 170, (832, 14)),
    "5a": (1072, 54, (832, 7)),
    "5b": (1388, 71, (1024, 7)),
}
# Where the table does not follow from its own widths.
WRONG_PARAMETERS = {"7x7", "4c", "4d", "5a", "5b"}
WRONG_OPERATIONS = {"7x7", "5a"}


def measure(backbone: GoogLeNet, row: str) -> tuple[int, int, tuple[int, int]]:
    """Weights, multiply-adds and output (channels, side) of one row at 224 x 224; on the meta device."""
    operations: list[int] = []
    outputs: list[Tensor] = []

    def note(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        operations.append(layer.weight.numel() * output.shape[2] * output.shape[3])

    module = table_rows(backbone)[row]
    convolutions = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    for layer in convolutions:
        layer.register_forward_hook(note)
    module.register_forward_hook(lambda _, __, output: outputs.append(output))
    backbone(torch.zeros(1, 3, 224, 224, device="meta"))
    weights = sum(layer.weight.numel() for layer in convolutions)
    return weights, sum(operations), (outputs[0].shape[1], outputs[0].shape[2])


@pytest.mark.parametrize("row", TABLE)
def test_the_papers_table(row: str) -> None:
    with torch.device("meta"):
        weights, operations, output = measure(GoogLeNet(3), row)
    thousands, millions, expected_output = TABLE[row]
    assert output == expected_output
    assert (weights / 1024 == pytest.approx(thousands, rel=0.01)) is (row not in WRONG_PARAMETERS)
    assert (operations / 1e6 == pytest.approx(millions, rel=0.01)) is (row not in WRONG_OPERATIONS)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("7x7", 64 * (7 * 7 * 3 + 1)),
        ("3x3", 64 * (64 + 1) + 192 * (3 * 3 * 64 + 1)),
        ("3a", 64 * 193 + 96 * 193 + 128 * (9 * 96 + 1) + 16 * 193 + 32 * (25 * 16 + 1) + 32 * 193),
        ("4c", 128 * 513 + 128 * 513 + 256 * (9 * 128 + 1) + 24 * 513 + 64 * (25 * 24 + 1) + 64 * 513),
        ("5a", 256 * 833 + 160 * 833 + 320 * (9 * 160 + 1) + 32 * 833 + 128 * (25 * 32 + 1) + 128 * 833),
        ("5b", 384 * 833 + 192 * 833 + 384 * (9 * 192 + 1) + 48 * 833 + 128 * (25 * 48 + 1) + 128 * 833),
    ],
)
def test_parameters_by_hand(row: str, expected: int) -> None:
    with torch.device("meta"):
        assert count(table_rows(GoogLeNet(3))[row]) == expected


def test_totals_by_hand_with_and_without_the_side_classifiers() -> None:
    with torch.device("meta"):
        model = classifier("googlenet")
    head = model.heads["classify"]
    assert isinstance(head, InceptionHead)
    sides = [
        128 * (channels + 1) + 1024 * (4 * 4 * 128 + 1) + 1000 * (1024 + 1)  # 1x1, hidden layer, logits
        for channels in (512, 528)
    ]
    assert [count(side) for side in head.side_classifiers] == sides == [3_188_840, 3_190_888]
    assert count(model) - sum(sides) == 6_998_552
    with torch.device("meta"):
        assert count(classifier("googlenet_tv")) == count(torchvision.models.GoogLeNet(init_weights=False))


def test_the_stem_is_that_of_figure_3() -> None:
    images = 30 * random_images(48, 64)  # large values, so that the normalization changes much
    backbone = GoogLeNet(3)
    randomize(backbone, images)
    first, reduce, second = (layer for layer in backbone.stages[:2].modules() if isinstance(layer, nn.Conv2d))

    def normalize(x: Tensor) -> Tensor:
        return functional.local_response_norm(x, 5, alpha=5e-4, beta=0.75, k=2)

    with torch.inference_mode():
        maps = backbone(images).maps
        fine = functional.conv2d(images, first.weight, first.bias, 2, 3).relu()
        torch.testing.assert_close(maps[0], fine)
        # "Same" padding: a last row and column that count for nothing.
        x = normalize(functional.max_pool2d(functional.pad(fine, (0, 1, 0, 1)), 3, 2))
        x = functional.conv2d(x, reduce.weight, reduce.bias).relu()
        x = normalize(functional.conv2d(x, second.weight, second.bias, padding=1).relu())
        torch.testing.assert_close(maps[1], x, rtol=1e-4, atol=1e-4)


def test_normalization_is_local_in_the_paper_and_by_batches_in_torchvision() -> None:
    with torch.device("meta"):
        kinds = {name: [type(layer) for layer in BACKBONES.get(name).build(3).modules()] for name in NAMES}
    assert [kinds[name].count(LocalResponseNorm) for name in NAMES] == [2, 0]
    assert [kinds[name].count(nn.BatchNorm2d) for name in NAMES] == [0, 3 + 9 * 6]


def test_dropout_is_the_papers() -> None:
    with torch.device("meta"):
        dropouts = [layer.p for layer in classifier("googlenet").modules() if isinstance(layer, nn.Dropout)]
    assert dropouts == [0.4, 0.7, 0.7]


def test_side_classifiers_are_those_of_section_5() -> None:
    images = random_images(224, 224)
    model = without_dropout(classifier("googlenet", num_classes=7))
    randomize(model, images)
    with torch.inference_mode():
        outputs = model.train()(images)
        sides = model.backbone(images).auxiliary[SIDE_MAPS]
    assert list(outputs) == ["classify", "classify/auxiliary_1", "classify/auxiliary_2"]
    assert [tuple(side.shape) for side in sides] == [(2, 512, 14, 14), (2, 528, 14, 14)]
    for index, side in enumerate(sides):
        state = model.heads["classify"].get_submodule(f"side_classifiers.{index}").state_dict()
        reduce, hidden, logits = [(state[f"{n}.weight"], state[f"{n}.bias"]) for n in ("1.0", "2", "5")]
        x = functional.conv2d(functional.avg_pool2d(side, 5, 3), *reduce).relu().flatten(1)
        assert x.shape == (2, 4 * 4 * 128)
        x = functional.linear(x, hidden[0].flatten(1), hidden[1]).relu()
        expected = functional.linear(x, logits[0].flatten(1), logits[1])
        assert depends_on_images(expected)
        torch.testing.assert_close(outputs[f"classify/auxiliary_{index + 1}"], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_side_classifiers_answer_in_training_only_and_are_not_in_a_segmentation_network(name: str) -> None:
    with torch.device("meta"):
        model, dense = classifier(name).eval(), create_model(name, num_classes=2)
        assert list(model(torch.zeros(2, 3, 224, 224))) == ["classify"]
        assert list(dense(torch.zeros(2, 3, 64, 64))) == ["segment"]
    assert [key for key in dense.state_dict() if "side" in key] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns_from_the_three_classifiers(name: str) -> None:
    torch.manual_seed(0)
    model = classifier(name, num_classes=3)
    side = {"googlenet": 224, "googlenet_tv": 64}[name]
    sum(logits.square().mean() for logits in model(random_images(side, side)).values()).backward()
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("height", [32, 61, 97, 163])
def test_maps_line_up_with_the_image(name: str, height: int) -> None:
    with torch.device("meta"):
        backbone = BACKBONES.get(name).build(4)
        maps = backbone(torch.zeros(2, 4, height, 224)).maps
    assert [(spec.channels, spec.stride) for spec in backbone.specs] == [
        (64, 2), (192, 4), (480, 8), (832, 16), (1024, 32)
    ]  # fmt: skip
    for spec, map_ in zip(backbone.specs, maps, strict=True):
        assert map_.shape[1] == spec.channels
        assert abs(map_.shape[2] - height / spec.stride) <= 1
        assert map_.shape[3] == 224 // spec.stride
    assert all(finer.shape[2] >= coarser.shape[2] for finer, coarser in pairwise(maps))


@pytest.mark.parametrize("size", [(96, 131), (224, 224)])
def test_logits_are_torchvisions_in_evaluation_and_without_dropout_in_training(size: tuple[int, int]) -> None:
    images = random_images(*size)
    theirs = torchvisions(images)
    ours = without_dropout(classifier("googlenet_tv", num_classes=10))
    ours.load_state_dict(googlenet.rename_torchvision(theirs.state_dict()))
    with torch.inference_mode():
        expected = theirs.eval()(images)
        assert depends_on_images(expected)
        torch.testing.assert_close(ours.eval()(images), {"classify": expected}, rtol=0, atol=1e-4)
        logits, second, first = theirs.train()(images)
        assert all(depends_on_images(output) for output in (logits, second, first))
        named = {"classify": logits, "classify/auxiliary_1": first, "classify/auxiliary_2": second}
        torch.testing.assert_close(ours.train()(images), named, rtol=0, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_imagenet_weights_take_the_usual_normalization_and_leave_untrained_side_classifiers_new(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = random_images(224, 224)[:, :channels]
    published = torchvisions(images.expand(-1, 3, -1, -1), transform_input=True).eval()
    asked: list[str] = []

    def fetch(weights: str) -> dict[str, Tensor]:
        asked.append(weights)
        return dict(published.state_dict())

    monkeypatch.setattr(googlenet, "fetch_state", fetch)
    model = create_model("googlenet_tv", task="classify", num_classes=10, in_channels=channels).eval()
    report = load_weights(model, "imagenet")
    assert asked == ["GoogLeNet_Weights.IMAGENET1K_V1"]
    torchvision.models.get_weight(asked[0])  # raises for a name it does not have
    assert {name.rpartition(".side_classifiers.")[0] for name in report.new} == {"heads.classify"}
    assert report.unused == ()
    with torch.inference_mode():
        if channels == 3:
            expected = published(images)
            assert depends_on_images(expected)
            torch.testing.assert_close(model(images)["classify"], expected, rtol=0, atol=1e-4)
        # Of grey images the border differs, as far as filters of 7 x 7 at stride 2 reach beyond the image.
        inside = (..., slice(2, -2), slice(2, -2))
        expected = published.conv1(published._transform_input(images.expand(-1, 3, -1, -1)))
        torch.testing.assert_close(model.backbone(images).maps[0][inside], expected[inside], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("given", "channels"), [(3, 1), (1, 3)])
def test_a_trained_network_keeps_what_it_subtracts_when_it_takes_other_channels(
    given: int, channels: int, tmp_path: Path
) -> None:
    source, model = (
        create_model("googlenet_tv", task="classify", num_classes=2, in_channels=n) for n in (given, channels)
    )
    source.backbone.get_buffer("input_mean").copy_(torch.tensor([0.5, -1.0, 2.0])[:given])
    save_file(source.state_dict(), tmp_path / "trained.safetensors")
    report = load_weights(model, tmp_path / "trained.safetensors")
    assert (report.new, report.unused) == ((), ())
    grey = random_images(48, 64)[:, :1]
    with torch.inference_mode():
        expected, fitted = (
            network.eval().backbone(grey.expand(-1, network.config.in_channels, -1, -1)).maps[0]
            for network in (source, model)
        )
    # Filters of 7 x 7 at stride 2 reach beyond the image, where 0 stands in place of the mean.
    inside = (..., slice(2, -2), slice(2, -2))
    assert depends_on_images(expected)
    torch.testing.assert_close(fitted[inside], expected[inside], rtol=1e-4, atol=1e-4)


def test_scale_and_shift_of_the_input_go_into_the_first_block() -> None:
    torch.manual_seed(0)
    weight, mean = torch.randn(4, 3, 3, 3), torch.randn(4)
    images = random_images(9, 11)
    # What torchvision does: undo the normalization of ImageNet, then bring 0..1 to -1..1.
    pixels = images * torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    pixels = pixels + torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    expected = functional.conv2d((pixels - 0.5) / 0.5, weight) - mean[:, None, None]
    scaled, input_mean = for_usual_input(weight)
    subtracted = functional.conv2d(images - input_mean[:, None, None], scaled) - mean[:, None, None]
    folded = functional.conv2d(images, scaled) - folded_mean(scaled, input_mean, mean)[:, None, None]
    torch.testing.assert_close(subtracted, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(folded, expected, rtol=1e-4, atol=1e-4)


def test_imagenet_weights_for_the_papers_network_name_the_variant_that_has_them() -> None:
    with torch.device("meta"):
        model = classifier("googlenet")
    with pytest.raises(UsageError, match="Published weights are for backbone googlenet_tv"):
        load_weights(model, "imagenet")
