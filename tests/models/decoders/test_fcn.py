"""FCN: the paper's layers and stages, counted by hand and compared with interpolation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.config import Option
from segkit.models.decoders._base import DECODERS
from segkit.models.decoders.fcn import FcnDecoder, ScoreUpsampling
from segkit.models.factory import create_model
from segkit.models.features import Features, FeatureSpec
from segkit.models.heads.fully_connected import FullyConnectedHead
from segkit.models.model import Model
from segkit.models.weights import load_weights

NAMES = ("fcn32s", "fcn16s", "fcn8s")
TINY: dict[str, Option] = {"width": 2, "depth": 6, "max_width": 8}
FC6_FC7 = (512 * 7 * 7 * 4096 + 4096) + (4096 * 4096 + 4096)


def parameters(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def random_tensor(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tiny_model(decoder: str) -> Model:
    options: dict[str, Option] = {"hidden": (5, 6)}
    return create_model("plain", decoder, num_classes=3, backbone_options=TINY, decoder_options=options).eval()


def decoder_of(model: Model) -> FcnDecoder:
    assert isinstance(model.decoder, FcnDecoder)
    return model.decoder


def train_by_chance(model: Model) -> Model:
    """Give the layers that start with zeros or as interpolation what training might have given them."""
    for seed, (name, parameter) in enumerate(model.decoder.named_parameters()):  # type: ignore[union-attr]
        if name.startswith(("scores", "upsamplings")):
            parameter.data += random_tensor(*parameter.shape, seed=seed)
    return model


@pytest.mark.parametrize(
    ("name", "decoder_parameters", "total"),
    [
        # 13 convolutions of VGG-16 have 14,714,688; then fc6, fc7 and the scores of stride 32.
        ("fcn32s", FC6_FC7 + 4096 * 21 + 21, 134_346_581),
        # Scores of pool4 and the filters from every class to every class.
        ("fcn16s", FC6_FC7 + (4096 + 512) * 21 + 2 * 21 + 21 * 21 * 16, 134_364_410),
        ("fcn8s", FC6_FC7 + (4096 + 512 + 256) * 21 + 3 * 21 + 2 * 21 * 21 * 16, 134_376_863),
    ],
)
def test_parameters_on_vgg16_with_21_classes_counted_by_hand(name: str, decoder_parameters: int, total: int) -> None:
    """Long et al. 2015, table 1: 134 M."""
    with torch.device("meta"):
        model = create_model("vgg16", name, num_classes=21)
    assert parameters(model.decoder) == decoder_parameters
    assert parameters(model) == total


def test_vggs_maps_are_those_behind_the_pools_unless_the_user_says_otherwise() -> None:
    with torch.device("meta"):
        paper = create_model("vgg11", "fcn8s", num_classes=2, decoder_options={"hidden": (1, 1)})
        other = create_model(
            "vgg11", "fcn8s", num_classes=2, backbone_options={"pooled_maps": False}, decoder_options={"hidden": (1, 1)}
        )
    assert paper.config.backbone_options["pooled_maps"] is True
    assert [paper.backbone.specs[level] for level in decoder_of(paper).levels] == [
        FeatureSpec(512, 32),
        FeatureSpec(512, 16),
        FeatureSpec(256, 8),
    ]
    assert [other.backbone.specs[level] for level in decoder_of(other).levels] == [
        FeatureSpec(512, 32),
        FeatureSpec(512, 16),
        FeatureSpec(512, 8),
    ]


def test_upsampling_starts_as_interpolation_up_to_the_border() -> None:
    upsampling = ScoreUpsampling(3)
    x = random_tensor(2, 3, 4, 5)
    with torch.inference_mode():
        doubled = upsampling(x, (8, 10))
    torch.testing.assert_close(doubled, functional.interpolate(x, scale_factor=2, mode="bilinear"))


@pytest.mark.parametrize("size", [(7, 9), (9, 11), (11, 13)])
def test_upsampling_to_a_rounded_size_cuts_or_repeats_the_border(size: tuple[int, int]) -> None:
    x = random_tensor(1, 2, 4, 5)
    with torch.inference_mode():
        result = ScoreUpsampling(2)(x, size)
    extended = functional.interpolate(
        functional.pad(x, (0, 2, 0, 2), mode="replicate"), scale_factor=2, mode="bilinear"
    )
    torch.testing.assert_close(result, extended[..., : size[0], : size[1]])


@pytest.mark.parametrize("factor", [8, 16, 32])
def test_the_heads_interpolation_is_the_papers_fixed_deconvolution(factor: int) -> None:
    """Inside the border, where a deconvolution fades to zero."""
    scores = random_tensor(1, 2, 4, 3)
    head = tiny_model({8: "fcn8s", 16: "fcn16s", 32: "fcn32s"}[factor]).heads["segment"]
    size = (4 * factor, 3 * factor)
    line = torch.tensor([1 - abs(tap - (factor - 0.5)) / factor for tap in range(2 * factor)])
    filters = torch.outer(line, line).expand(2, 1, -1, -1)
    deconvolved = functional.conv_transpose2d(scores, filters, stride=factor, padding=factor // 2, groups=2)
    inside = (..., slice(factor // 2, -factor // 2), slice(factor // 2, -factor // 2))
    torch.testing.assert_close(head(scores, size)[inside], deconvolved[inside], rtol=1e-5, atol=1e-5)


def test_scores_are_summed_from_coarse_to_fine() -> None:
    decoder = decoder_of(train_by_chance(tiny_model("fcn8s")))
    maps = {stride: random_tensor(1, 8, 64 // stride, 96 // stride, seed=stride) for stride in (8, 16, 32)}
    with torch.inference_mode():
        hidden = functional.conv2d(maps[32], decoder.fc6.weight, decoder.fc6.bias, padding=3).relu()
        hidden = functional.conv2d(hidden, decoder.fc7.weight, decoder.fc7.bias).relu()
        scores = decoder.scores["32"](hidden)
        for stride, size in ((16, (4, 6)), (8, (8, 12))):
            scores = decoder.upsamplings[str(stride)](scores, size) + decoder.scores[str(stride)](maps[stride])
        finest = [random_tensor(1, 8, 1, 1)] * 3
        features = Features((*finest, maps[8], maps[16], maps[32]))
        torch.testing.assert_close(decoder(features, (64, 96)), scores)


def test_before_training_every_logit_is_zero() -> None:
    with torch.inference_mode():
        assert not tiny_model("fcn8s")(random_tensor(1, 3, 64, 64))["segment"].any()


@pytest.mark.parametrize(("coarser", "finer", "stride"), [("fcn32s", "fcn16s", "16"), ("fcn16s", "fcn8s", "8")])
def test_a_stage_starts_with_the_prediction_of_the_one_before(
    coarser: str, finer: str, stride: str, tmp_path: Path
) -> None:
    before = train_by_chance(tiny_model(coarser))
    save_file(before.state_dict(), tmp_path / "trained.safetensors")
    model = tiny_model(finer)
    report = load_weights(model, tmp_path / "trained.safetensors")
    assert set(report.new) == {
        f"decoder.scores.{stride}.weight",
        f"decoder.scores.{stride}.bias",
        f"decoder.upsamplings.{stride}.convolution.weight",
    }
    assert report.unused == ()
    with torch.inference_mode():
        features = model.backbone(random_tensor(1, 3, 64, 96))
        coarse = decoder_of(before)(features, (64, 96))
        assert coarse.abs().max() > 0.1
        torch.testing.assert_close(
            decoder_of(model)(features, (64, 96)), functional.interpolate(coarse, scale_factor=2, mode="bilinear")
        )


def test_a_trained_classifier_gives_its_fully_connected_layers_too(tmp_path: Path) -> None:
    """Long et al. 2015, section 4.1. The window of fc6 at the centre of its padded map is the classifier's."""
    options: dict[str, Option] = {"pattern": "[2] P [2] P [4] P [4] P [8] P [8] F5 F6", "image_size": 224}
    classifier = create_model("plain", task="classify", num_classes=7, backbone_options=options).eval()
    save_file(classifier.state_dict(), tmp_path / "classifier.safetensors")
    model = create_model(
        "plain", "fcn32s", num_classes=3, backbone_options=options, decoder_options={"hidden": (5, 6)}
    ).eval()
    report = load_weights(model, tmp_path / "classifier.safetensors")
    assert report.new == ("decoder.scores.32.weight", "decoder.scores.32.bias")
    assert report.unused == ("heads.classify.layers.6.bias", "heads.classify.layers.6.weight")
    head = classifier.heads["classify"]
    assert isinstance(head, FullyConnectedHead)
    images = random_tensor(1, 3, 224, 224)
    with torch.inference_mode():
        logits = classifier(images)["classify"]
        decoder = decoder_of(model)
        decoder.scores["32"] = head.layers[6]
        decoded = decoder(model.backbone(images), (224, 224))
    torch.testing.assert_close(decoded[:, :, 3, 3], logits)


def test_published_weights_give_their_fully_connected_layers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("vgg11", "fcn16s", num_classes=2, decoder_options={"hidden": (2, 3)})
    published = {"backbone.levels.0.0.0.weight": torch.ones(64, 3, 3, 3)}
    for layer, shape in ((0, (2, 512, 7, 7)), (3, (3, 2, 1, 1)), (6, (1000, 3, 1, 1))):
        published |= {f"heads.classify.layers.{layer}.weight": torch.ones(shape)}
    monkeypatch.setattr(type(model.backbone), "fetch_weights", lambda self, name: published)
    report = load_weights(model, "imagenet")
    assert set(report.loaded) == {"backbone.levels.0.0.0.weight", "decoder.fc6.weight", "decoder.fc7.weight"}
    assert report.unused == ("heads.classify.layers.6.weight",)


def alexnet_head(dropout_first: bool) -> FullyConnectedHead:
    torch.manual_seed(0)
    return FullyConnectedHead(256, 5, 6, 224, hidden=(2, 3), dropout_first=dropout_first).eval()


def save_classifier(model: Model, head: FullyConnectedHead, folder: Path) -> Path:
    """A file of a classifier of the model's backbone with this head."""
    state = {f"backbone.{name}": tensor for name, tensor in model.backbone.state_dict().items()}
    state |= {f"heads.classify.{name}": tensor for name, tensor in head.state_dict().items()}
    save_file(state, folder / "classifier.safetensors")
    return folder / "classifier.safetensors"


@pytest.mark.parametrize(("backbone", "dropout_first"), [("alexnet", False), ("alexnet_tv", True)])
def test_a_classifier_of_alexnet_gives_its_fully_connected_layers_too(
    backbone: str, dropout_first: bool, tmp_path: Path
) -> None:
    """The window of 6 x 6 at the third position of the map is the classifier's."""
    head = alexnet_head(dropout_first)
    options: dict[str, Option] = {"hidden": (2, 3), "kernel_size": 6}
    model = create_model(backbone, "fcn32s", num_classes=2, decoder_options=options).eval()
    report = load_weights(model, save_classifier(model, head, tmp_path))
    assert report.unused == ("heads.classify.layers.6.bias", "heads.classify.layers.6.weight")
    decoder = decoder_of(model)
    decoder.scores["32"] = head.layers[6]
    map_ = random_tensor(1, 256, 6, 6)
    features = Features((map_,) * len(model.backbone.specs))
    with torch.inference_mode():
        decoded = decoder(features, (192, 192))
        assert decoded.shape == (1, 5, 6, 6)
        torch.testing.assert_close(decoded[:, :, 2, 2], head(features))


def test_fully_connected_layers_load_all_or_none(tmp_path: Path) -> None:
    """Without AlexNet's 6 x 6 filters of fc6, its bias and fc7 would look at what they do not know."""
    model = create_model("alexnet_tv", "fcn32s", num_classes=2, decoder_options={"hidden": (2, 3)})
    report = load_weights(model, save_classifier(model, alexnet_head(dropout_first=True), tmp_path))
    assert {name.split(".")[0] for name in report.loaded} == {"backbone"}
    assert {f"decoder.{layer}.{kind}" for layer in ("fc6", "fc7") for kind in ("weight", "bias")} <= set(report.unused)


@pytest.mark.parametrize(("kernel_size", "before", "after"), [(6, 2, 3), (3, 1, 1), (2, 0, 1), (1, 0, 0)])
def test_windows_of_any_size_keep_the_map_and_reach_further_down_and_right_where_they_have_no_middle(
    kernel_size: int, before: int, after: int
) -> None:
    specs = [FeatureSpec(4, 32)]
    decoder = DECODERS.get("fcn32s").build(specs, 2, hidden=(5, 6), kernel_size=kernel_size).eval()
    assert isinstance(decoder, FcnDecoder)
    nn.init.normal_(decoder.scores["32"].get_parameter("weight"))
    map_ = random_tensor(1, 4, 5, 7)
    with torch.inference_mode():
        padded = functional.pad(map_, (before, after, before, after))
        hidden = functional.conv2d(padded, decoder.fc6.weight, decoder.fc6.bias).relu()
        hidden = functional.conv2d(hidden, decoder.fc7.weight, decoder.fc7.bias).relu()
        torch.testing.assert_close(decoder(Features((map_,)), (160, 224)), decoder.scores["32"](hidden))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backbone", ["plain", "smp/resnet18", "vgg11_bn"])
def test_sizes_of_every_kind_and_a_batch_of_one(name: str, backbone: str) -> None:
    options = TINY if backbone == "plain" else {}
    model = create_model(
        backbone, name, num_classes=3, backbone_options=options, decoder_options={"hidden": (4, 4)}
    ).train()
    decoder = decoder_of(train_by_chance(model))
    features = Features(
        tuple(
            random_tensor(1, spec.channels, 97 // spec.stride, -(-131 // spec.stride), seed=spec.stride)
            for spec in model.backbone.specs
        )
    )
    logits = decoder(features, (97, 131))
    assert logits.shape == (1, 3, 97 // decoder.out_stride, -(-131 // decoder.out_stride))
    model.heads["segment"](logits, (97, 131)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in decoder.parameters())
    trained = [p for part in (decoder.scores, decoder.upsamplings) for p in part.parameters()]
    assert all(p.grad is not None and p.grad.any() for p in trained)


@pytest.mark.parametrize(
    ("name", "strides", "message"),
    [
        ("fcn32s", (1, 2, 4, 8, 16), r"fcn32s needs maps of stride 32; this backbone has 1, 2, 4, 8, 16; 'vgg16' fits"),
        ("fcn16s", (4, 8, 32), r"fcn16s needs maps of stride 16 and 32; this backbone has 4, 8, 32; 'vgg16' fits"),
        ("fcn8s", (16, 32), r"fcn8s needs maps of stride 8, 16 and 32; this backbone has 16, 32; 'vgg16' fits"),
    ],
)
def test_a_backbone_without_the_strides_is_refused(name: str, strides: tuple[int, ...], message: str) -> None:
    specs = [FeatureSpec(4, stride) for stride in strides]
    with pytest.raises(UsageError, match=message):
        DECODERS.get(name).build(specs, 2)


def test_hidden_takes_two_numbers() -> None:
    with pytest.raises(UsageError, match=r"decoder fcn8s: option hidden=\(64,\) is not allowed"):
        create_model("vgg11", "fcn8s", num_classes=2, decoder_options={"hidden": (64,)})
