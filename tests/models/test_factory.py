"""Building by name: options, errors, resolved configuration, imports, no network."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any, Literal

import pytest
import torch

from segkit.errors import ConfigError, UsageError
from segkit.models.catalogue import list_models
from segkit.models.config import ModelConfig, Option
from segkit.models.factory import build_model, create_model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "plian"}, r"unknown backbone 'plian'\. Did you mean 'plain'\?"),
        ({"backbone": "smp/resnet43"}, r"unknown backbone 'smp/resnet43'\. Did you mean 'smp/resnet34'\?"),
        ({"backbone": "resnest50d"}, r"unknown backbone 'resnest50d'\. Did you mean 'resnet50'\?"),
        ({"backbone": "smp/tu-convnext_tinny"}, r"timm has no such model\. Did you mean 'smp/tu-convnext_tiny'\?"),
        ({"decoder": "smp/unnet"}, r"unknown decoder 'smp/unnet'\. Did you mean 'smp/unet'\?"),
        ({"backbone_options": {"widht": 8}}, r"backbone plain has no option 'widht'\. Did you mean 'width'\?"),
        (
            {"decoder_options": {"attention": "scse"}},
            r"decoder unet has no option 'attention'.*Allowed: upsample, channels",
        ),
        ({"decoder": "smp/linknet", "decoder_options": {"x": 1}}, r"has no option 'x'\. It has no options"),
        ({"upsample": "nearst"}, r"decoder unet: option upsample='nearst' is not allowed: Input should be 'nearest'"),
        ({"backbone_options": {"depth": 1}}, r"option depth=1 is not allowed: .*greater than or equal to 2"),
        (
            {"backbone": "smp/vgg11", "decoder": "smp/deeplabv3"},
            r"smp/vgg11 cannot be built with depth=5, output_stride=8: 'VGG' models do not support dilated mode",
        ),
        (
            {"backbone": "smp/tu-swin_tiny_patch4_window7_224"},
            r"cannot be built with .*: Input height \(64\) doesn't match model \(224\)",
        ),
        (
            {"decoder": "smp/dpt"},
            r"smp/dpt needs prefix_tokens, which backbone plain lacks; backbones that have it: smp/tu-vit_base_patch16",
        ),
        (
            {"backbone": "smp/mit_b0", "decoder": "smp/linknet"},
            r"2 or more maps whose strides double, start at 2 or less and reach 8; this backbone has 4, 8, 16, 32",
        ),
        (
            {"backbone": "smp/resnet18", "decoder": "smp/fpn", "backbone_options": {"depth": 3}},
            r"smp/fpn needs 4 or more maps whose .*; this backbone has 2, 4, 8",
        ),
        (
            {"backbone": "smp/tu-vit_small_patch14_dinov2", "decoder": "smp/dpt"},
            r"smp/dpt needs patches of 8, 16 or 32 pixels; those of this backbone have 14",
        ),
        (
            {"backbone_options": {"depth": 3}, "decoder": "smp/unet"},
            r"needs 2 or more maps whose strides double, start at 4 or less and reach 8; this backbone has 1, 2, 4",
        ),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        create_model(num_classes=2, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "heads: .*number of classes, 1 or more"),
        ({"num_classes": 2, "in_channels": 17}, "in_channels: .*less than or equal to 16"),
        ({"num_classes": 2, "task": "classify", "decoder": "unet"}, "to classify there is no decoder"),
    ],
)
def test_wrong_values_are_configuration_errors(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_model(**arguments)


def test_the_config_of_a_network_has_every_option_resolved() -> None:
    config = create_model(num_classes=2, backbone_options={"width": 8}).config
    assert config.backbone_options == {
        "width": 8,
        "depth": 5,
        "max_width": 256,
        "stem_stride": 1,
        "norm": "batch",
        "activation": "relu",
        "weight_standardization": False,
        "pool": "max",
        "dropout": 0.0,
    }
    assert config.decoder_options == {"upsample": "transposed", "out_stride": 1}


@pytest.mark.parametrize(
    ("backbone", "decoder", "built"),
    [
        (None, None, ("plain", "unet")),
        ("unet2015", None, ("unet2015", "unet2015")),
        (None, "unet2015", ("unet2015", "unet2015")),
        ("enet", None, ("enet", "enet")),
        ("enet", "unet", ("enet", "unet")),
        ("plain", "enet", ("plain", "enet")),
        (None, "unet", ("plain", "unet")),
        ("lenet", None, ("lenet", "unet")),
    ],
)
def test_halves_of_one_name_bring_each_other(backbone: str | None, decoder: str | None, built: tuple[str, str]) -> None:
    with torch.device("meta"):
        config = create_model(backbone, decoder, num_classes=2).config
    assert (config.backbone, config.decoder) == built


def test_a_classifier_has_no_decoder_of_its_name() -> None:
    assert create_model("enet", task="classify", num_classes=2).config.decoder is None


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("segment", {"dropout": 0.3}, r"vgg11: option dropout=0\.3 has no effect: it is for --task classify"),
        ("classify", {"pooled_maps": True}, "option pooled_maps=True has no effect: it is for --task segment"),
    ],
)
def test_options_of_the_other_task_are_refused(
    task: Literal["segment", "classify"], options: dict[str, Option], message: str
) -> None:
    with torch.device("meta"), pytest.raises(UsageError, match=message):
        create_model("vgg11", task=task, num_classes=2, backbone_options=options)


def test_an_architecture_sets_its_own_stride_unless_told_otherwise() -> None:
    assert (
        create_model("smp/resnet18", "smp/deeplabv3plus", num_classes=2).config.backbone_options["output_stride"] == 16
    )
    given = create_model("smp/resnet18", "smp/deeplabv3plus", num_classes=2, backbone_options={"output_stride": 8})
    assert [spec.stride for spec in given.backbone.specs] == [2, 4, 8, 8, 8]
    assert [spec.stride for spec in create_model("smp/resnet18", "smp/pspnet", num_classes=2).backbone.specs] == [
        2,
        4,
        8,
    ]


def test_options_from_the_command_line_are_converted() -> None:
    config = ModelConfig(
        heads={"segment": 2}, backbone_options={"width": "8"}, decoder_options={"channels": (32, 16, 8, 8)}
    )
    model = build_model(config)
    assert model.config.backbone_options["width"] == 8
    assert model.decoder is not None
    assert model.decoder.out_channels == 8


def test_building_never_asks_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for backbone in ("plain", "smp/resnet18", "smp/tu-resnet18", "smp/tu-vit_tiny_patch16_224"):
        build_model(ModelConfig(backbone=backbone, heads={"segment": 2}))


def test_names_are_listed_with_what_can_be_set() -> None:
    rows = {(row["kind"], row["name"]): row for row in list_models()}
    assert rows["backbone", "plain"] == {
        "name": "plain",
        "kind": "backbone",
        "family": "segkit",
        "options": [
            "width=24",
            "depth=5",
            "max_width=256",
            "stem_stride=1",
            "pattern=auto",
            "norm=batch",
            "activation=relu",
            "weight_standardization=False",
            "pool=max",
            "dropout=0.0",
            "image_size=32",
        ],
        "weights": [],
        "capabilities": ["pool_indices"],
    }
    assert rows["backbone", "lenet5"]["options"] == ["output=linear", "padded=auto"], "the task decides"
    assert "imagenet" in rows["backbone", "smp/resnet34"]["weights"]
    assert rows["decoder", "unet"]["options"] == ["upsample=transposed", "channels=auto", "out_stride=1"]
    assert rows["decoder", "smp/dpt"]["requires"] == ["prefix_tokens"]
    assert rows["decoder", "unet"]["heads"] == ["segment", "instances"]
    assert rows["decoder", "maskrcnn"]["heads"] == ["instances"]
    heads = {name: (row["reads"], row["options"]) for (kind, name), row in rows.items() if kind == "head"}
    assert heads == {
        "segment": ("decoder", []),
        "instances": ("decoder", []),
        "detect": ("backbone", ["channels=64", "convolutions=2", "finest_stride=8", "levels=4"]),
        "classify": ("backbone", []),
    }


def test_the_whole_classic_family_is_offered() -> None:
    own = {kind: {row["name"] for row in list_models() if (row["family"], row["kind"]) == ("segkit", kind)}
           for kind in ("backbone", "decoder")}  # fmt: skip
    assert own["backbone"] == {
        *("lenet5", "lenet", "alexnet", "alexnet_two_tower", "alexnet_tv"),
        *(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")),
        *("googlenet", "googlenet_tv", "inception_v3"),
        *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
        *(f"resnet{depth}_tv" for depth in (50, 101, 152)),
        *("highway19", "highway32", "densenet121", "densenet161", "densenet169", "densenet201"),
        *("plain", "nin", "enet", "unet2015"),
    }
    assert own["decoder"] == {
        *("fcn32s", "fcn16s", "fcn8s", "unet", "unet2015", "segnet", "deconvnet", "enet", "maskrcnn"),
    }


def test_every_encoder_and_architecture_of_smp_is_offered() -> None:
    import segmentation_models_pytorch as smp

    names = {row["name"] for row in list_models()}
    assert {f"smp/{name}" for name in smp.encoders.get_encoder_names()} <= names
    assert {f"smp/{name}" for name in smp.MODEL_ARCHITECTURES_MAPPING} <= names


def test_the_plain_network_is_built_without_importing_smp() -> None:
    code = (
        "import sys, segkit.models; assert 'torch' not in sys.modules;"
        "segkit.models.create_model(num_classes=2); segkit.models.create_model(decoder='unet', num_classes=2);"
        "print([name for name in ('segmentation_models_pytorch', 'timm', 'torchvision') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
