"""Every backbone of segkit under every decoder of segkit: built where its maps allow it, else refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES
from segkit.models.config import Option
from segkit.models.decoders._base import DECODERS
from segkit.models.factory import create_model
from tests.models.test_contracts import (
    DECODER_OPTIONS_OF,
    MAP_DECODERS,
    random_images,
    replace_zeros,
    with_margin,
    without_gradient,
)

UNPOOLING = ["segnet", "deconvnet", "enet"]
FCN = ["fcn32s", "fcn16s", "fcn8s"]
# By the module of the backbone, which has one family; where its members differ, by their names.
FITTING = {
    "alexnet": ["unet", *FCN],
    "densenet": ["unet", *FCN],
    "enet": ["unet", *UNPOOLING],
    "googlenet": ["unet", *FCN],
    "highway": ["unet", *UNPOOLING],
    "inception": ["unet", *FCN],
    "lenet": ["unet", *UNPOOLING],
    "lenet5": ["unet"],
    "nin": ["unet"],
    "plain": ["unet", *UNPOOLING],
    "resnet": ["unet", *FCN],
    "unet2015": ["unet2015"],
    "vgg": ["unet", *FCN, *UNPOOLING],
}
REFUSALS = {
    "deconvnet": "needs pool_indices, which backbone",
    "enet": "needs pool_indices, which backbone",
    "fcn16s": "needs maps of stride 16 and 32; this backbone has",
    "fcn32s": "needs maps of stride 32; this backbone has",
    "fcn8s": "needs maps of stride 8, 16 and 32; this backbone has",
    "segnet": "needs pool_indices, which backbone",
    "unet": "lines up maps of whole images; those of backbone unet2015 lack their borders",
    "unet2015": "needs valid_convolutions, which backbone",
}
SIZE = (61, 67)


BACKBONE_NAMES = [name for name in BACKBONES if BACKBONES.get(name).family == "segkit"]
DECODER_NAMES = [name for name in MAP_DECODERS if DECODERS.get(name).family == "segkit"]


def family_of(name: str) -> str:
    build = BACKBONES.get(name).build
    # A partial function, as of the ResNets, names the module of functools.
    module: str = getattr(build, "func", build).__module__
    return name if name in FITTING else module.rpartition(".")[2]


def test_families_and_decoders_are_those_listed() -> None:
    assert {family_of(name) for name in BACKBONE_NAMES} == FITTING.keys()
    assert sorted(DECODER_NAMES) == sorted(REFUSALS)


@pytest.mark.parametrize("name", BACKBONE_NAMES)
def test_logits_have_the_images_size_or_the_pair_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fitting = FITTING[family_of(name)]
    # Under all decoders the same backbone: building it, without values, is most of the work.
    entry = BACKBONES.get(name)
    monkeypatch.setitem(BACKBONES._parts, name, replace(entry, build=cache(entry.build)))
    for decoder in DECODER_NAMES:
        with torch.device("meta"):
            if decoder not in fitting:
                with pytest.raises(UsageError, match=f"^decoder {decoder} {REFUSALS[decoder]}"):
                    create_model(name, decoder, num_classes=2)
                continue
            model = create_model(name, decoder, num_classes=2).eval()
            logits = model(torch.zeros(1, 3, *with_margin(model, *SIZE)))["segment"]
        assert logits.shape == (1, 2, *SIZE)


# Every decoder, and every family under one decoder of each kind that fits it.
@pytest.mark.parametrize(
    ("name", "decoder", "options"),
    [
        ("alexnet", "fcn32s", {}),
        ("densenet121", "fcn16s", {}),
        ("enet", "deconvnet", {}),
        ("enet", "enet", {}),
        ("googlenet", "fcn8s", {}),
        ("highway19", "deconvnet", {}),
        ("highway19", "enet", {}),
        ("highway19", "segnet", {}),
        ("highway32", "unet", {}),
        ("inception_v3", "fcn8s", {}),
        ("lenet", "enet", {}),
        ("lenet5", "unet", {}),
        ("nin", "unet", {}),
        ("plain", "fcn8s", {"depth": 6, "width": 4}),
        ("plain", "segnet", {}),
        ("resnet18", "fcn8s", {}),
        ("resnet50", "unet", {}),
        ("resnet50_tv", "fcn16s", {}),
        ("unet2015", "unet2015", {"depth": 3, "width": 4}),
        ("vgg11_bn", "fcn8s", {}),
        ("vgg11_bn", "segnet", {}),
    ],
)
def test_every_parameter_of_a_pair_learns(name: str, decoder: str, options: dict[str, Option]) -> None:
    torch.manual_seed(0)
    model = create_model(
        name, decoder, num_classes=3, backbone_options=options, decoder_options=DECODER_OPTIONS_OF.get(decoder)
    )
    replace_zeros(model)
    logits = model(random_images(3, with_margin(model, *SIZE), count=2))["segment"]
    assert logits.shape == (2, 3, *SIZE)
    assert without_gradient(model, [logits]) == []
