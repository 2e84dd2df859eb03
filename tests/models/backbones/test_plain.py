"""The plain backbone: patterns counted by hand, capabilities, switchable parts."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.models.backbones._pattern import Pattern, parse_pattern
from segkit.models.backbones.plain import build_plain
from segkit.models.config import ModelConfig, Option
from segkit.models.factory import build_model, create_model
from segkit.models.heads.classify import PoolingHead
from segkit.models.heads.fully_connected import FullyConnectedHead
from segkit.models.layers.activation import ActivationName
from segkit.models.layers.conv import StandardizedConv2d
from segkit.models.layers.norm import NormName
from segkit.models.layers.pool import PoolName


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[64]*2 P [128]*2 P [256]*3", Pattern(((64, 64), (128, 128), (256, 256, 256)))),
        ("[8]", Pattern(((8,),))),
        ("[8] [16]*2 P F512 F10", Pattern(((8, 16, 16), ()), (512, 10))),
        ("  [8]  P   P [4]", Pattern(((8,), (), (4,)))),
    ],
)
def test_patterns_are_read(text: str, expected: Pattern) -> None:
    assert parse_pattern(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[64]*2 Q [128]", "'Q' is no part of a pattern"),
        ("[64]x2", r"'\[64\]x2' is no part of a pattern"),
        ("[0]", r"'\[0\]' is no part of a pattern"),
        ("[8]*0", r"'\[8\]\*0' is no part of a pattern"),
        ("64 P", "'64' is no part of a pattern"),
        ("", "it does not start with a convolution"),
        ("P [8]", "it does not start with a convolution"),
        ("F10", "it does not start with a convolution"),
        ("[8] F10 P", "'P' stands behind a fully connected layer"),
        ("[8] F10 [8]", r"'\[8\]' stands behind a fully connected layer"),
    ],
)
def test_what_is_no_pattern_is_said_with_what_is_allowed(text: str, problem: str) -> None:
    allowed = r"; allowed, separated by spaces: \[C\] or \[C\]\*N .* for example '\[64\]\*2 P \[128\]\*2 P F512'"
    with pytest.raises(UsageError, match=f"pattern '.*': {problem}{allowed}"):
        create_model(num_classes=2, backbone_options={"pattern": text})


def test_a_pattern_counted_by_hand() -> None:
    backbone = build_plain(3, pattern="[64]*2 P [128]*2 P [256]*3", norm="none")
    assert [(spec.channels, spec.stride) for spec in backbone.specs] == [(64, 1), (128, 2), (256, 4)]
    weights = 9 * (3 * 64 + 64 * 64 + 64 * 128 + 128 * 128 + 128 * 256 + 2 * 256 * 256)
    assert parameters(backbone) == weights + 2 * 64 + 2 * 128 + 3 * 256
    shapes = [tuple(found.shape) for found in backbone(torch.randn(1, 3, 22, 13)).maps]
    assert shapes == [(1, 64, 22, 13), (1, 128, 11, 6), (1, 256, 5, 3)]


def test_a_pattern_equals_the_same_layers_written_out() -> None:
    backbone = build_plain(3, pattern="[4]*2 P [6] P", norm="none")
    convolutions = [module for module in backbone.modules() if isinstance(module, nn.Conv2d)]
    a, b, c = (lambda x, layer=layer: functional.relu(layer(x)) for layer in convolutions)
    x = torch.randn(2, 3, 12, 9)
    first = b(a(x))
    second = c(functional.max_pool2d(first, 2))
    for given, expected in zip(backbone(x).maps, (first, second, functional.max_pool2d(second, 2)), strict=True):
        torch.testing.assert_close(given, expected)


def test_the_default_network_keeps_the_names_of_its_parameters() -> None:
    """Saved models hold them."""
    names = [name for name in build_plain(3, depth=2).state_dict() if "num_batches" not in name]
    expected = [
        f"levels.{level}.{block}.{layer}"
        for level in range(2)
        for block in range(2)
        for layer in ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var")
    ]
    assert names == expected
    with_dropout = [name for name in build_plain(3, depth=2, dropout=0.5).state_dict() if "num_batches" not in name]
    assert with_dropout == expected


@pytest.mark.parametrize("pool", get_args(PoolName))
def test_only_max_pools_offer_indices(pool: PoolName) -> None:
    backbone = build_plain(1, pattern="[2] P [2] P", pool=pool)
    assert backbone.capabilities == (frozenset({"pool_indices"}) if pool == "max" else frozenset())
    features = backbone(torch.randn(1, 1, 11, 14))
    assert len(features.pools) == (2 if pool == "max" else 0)
    assert [tuple(found.shape[2:]) for found in features.maps][1] == ((6, 7) if pool == "overlapping_max" else (5, 7))


def test_unpooling_over_other_pools_is_refused() -> None:
    with pytest.raises(UsageError, match="decoder unet needs pool_indices, which backbone plain lacks"):
        create_model(num_classes=2, upsample="max_unpool", backbone_options={"pool": "average"})


@pytest.mark.parametrize(
    "options",
    [
        *({"norm": name} for name in get_args(NormName)),
        *({"activation": name} for name in get_args(ActivationName)),
        *({"pool": name} for name in get_args(PoolName)),
        {"weight_standardization": True, "norm": "group"},
        {"dropout": 0.2},
        {"pattern": "[4] P [6]*2 P F5", "activation": "maxout", "dropout": 0.5},
    ],
)
@pytest.mark.parametrize("task", ["segment", "classify"])
def test_every_part_can_be_switched_and_trains(options: dict[str, Option], task: str) -> None:
    small: dict[str, Option] = {} if "pattern" in options else {"width": 4, "depth": 3}
    model = create_model(num_classes=3, task=task, backbone_options={**small, **options})  # type: ignore[arg-type]
    logits = model(torch.randn(2, 3, 33, 37))[task]
    assert logits.shape == ((2, 3, 33, 37) if task == "segment" else (2, 3))
    logits.square().mean().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_options_reach_every_block() -> None:
    backbone = build_plain(3, width=4, depth=3, norm="instance", activation="elu", weight_standardization=True)
    kinds = [type(module) for module in backbone.modules() if not isinstance(module, nn.Sequential | nn.ModuleList)]
    assert kinds[2:-1] == [StandardizedConv2d, nn.GroupNorm, nn.ELU] * 6


def test_dropout_stands_behind_every_level_and_every_fully_connected_layer() -> None:
    model = create_model(
        num_classes=2, task="classify", backbone_options={"pattern": "[4]*2 P [4] P F8 F8", "dropout": 0.25}
    )
    rates = [module.p for module in model.modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.25] * 4


def test_the_fully_connected_part_flattens_the_last_map() -> None:
    model = create_model(
        num_classes=10,
        in_channels=1,
        task="classify",
        backbone_options={"pattern": "[8] P [16] P F120 F84", "image_size": 28, "norm": "none"},
    )
    assert isinstance(model.heads["classify"], FullyConnectedHead)
    assert model.smallest_image == 28
    assert parameters(model.heads) == (16 * 7 * 7 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10)
    first, second, last = (module for module in model.heads.modules() if isinstance(module, nn.Conv2d))
    images = torch.randn(2, 1, 28, 28)
    hidden = model.backbone(images).maps[-1].flatten(1)
    for layer in (first, second):
        hidden = functional.relu(functional.linear(hidden, layer.weight.flatten(1), layer.bias))
    expected = functional.linear(hidden, last.weight.flatten(1), last.bias)
    torch.testing.assert_close(model(images)["classify"], expected)


@pytest.mark.parametrize(("pool", "kernel"), [("max", 3), ("overlapping_max", 4)])
def test_the_fully_connected_part_counts_how_pools_round(pool: PoolName, kernel: int) -> None:
    """28 pixels are 14, 7, then 3 or 4."""
    options: dict[str, Option] = {"pattern": "[4] P [4] P [4] P F6", "image_size": 28, "pool": pool}
    model = create_model(num_classes=2, task="classify", backbone_options=options)
    first = next(module for module in model.heads.modules() if isinstance(module, nn.Conv2d))
    assert first.kernel_size == (kernel, kernel)
    assert model.backbone(torch.zeros(1, 3, 28, 28)).maps[-1].shape[2:] == first.kernel_size


def test_images_too_small_for_the_fully_connected_part_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"images of 7 pixels leave nothing behind 3 pools .*; use image_size=8 or more"
    ):
        create_model(num_classes=2, task="classify", backbone_options={"pattern": "[4] P P P F6", "image_size": 7})


def test_without_a_fully_connected_part_the_last_map_is_averaged() -> None:
    model = create_model(num_classes=2, task="classify", backbone_options={"pattern": "[4] P [6]"})
    assert isinstance(model.heads["classify"], PoolingHead)


def test_a_stem_stride_classifies_images_of_any_size() -> None:
    options: dict[str, Option] = {"pattern": "[4] P [6] P F5", "stem_stride": 2, "image_size": 16}
    model = create_model(num_classes=3, task="classify", backbone_options=options).eval()
    for size in ((16, 16), (17, 23), (5, 40)):
        assert model(torch.randn(1, 3, *size))["classify"].shape == (1, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pattern": "[4] P [6]", "width": 24}, "option width=24 has no effect: the pattern has the channels"),
        ({"pattern": "[4] P [6]", "depth": 3}, "option depth=3 has no effect: the pattern has the channels"),
        ({"pattern": "[4] P [6]", "max_width": 9}, "option max_width=9 has no effect: the pattern has the channels"),
        ({"pattern": "[4] P [6]", "image_size": 28}, "image_size=28 has no effect: only fully connected layers"),
        ({"image_size": 28}, "image_size=28 has no effect: only fully connected layers, F in a pattern, depend on it"),
    ],
)
@pytest.mark.parametrize("task", ["segment", "classify"])
def test_options_without_effect_are_refused(options: dict[str, Option], message: str, task: str) -> None:
    with pytest.raises(UsageError, match=f"{message}.*; leave it out"):
        create_model(num_classes=2, task=task, backbone_options=options)  # type: ignore[arg-type]


def test_a_resolved_pattern_has_no_options_without_effect() -> None:
    options: dict[str, Option] = {"pattern": "[4] P [6] P F5", "image_size": 28}
    resolved = create_model(num_classes=2, task="classify", backbone_options=options).config.backbone_options
    assert {"width", "depth", "max_width"} & resolved.keys() == set()
    assert (resolved["pattern"], resolved["image_size"]) == ("[4] P [6] P F5", 28)
    again = create_model(num_classes=2, task="classify", backbone_options=resolved).config.backbone_options
    assert again == resolved


def test_a_network_saved_with_options_without_effect_is_built_without_them() -> None:
    options: dict[str, Option] = {"pattern": "[4] P [6]", "width": 24, "depth": 5, "max_width": 256, "image_size": 32}
    model = build_model(ModelConfig(heads={"segment": 2}, backbone_options=options))
    assert [spec.channels for spec in model.backbone.specs] == [4, 6]
    assert model.config == create_model(num_classes=2, backbone_options={"pattern": "[4] P [6]"}).config
