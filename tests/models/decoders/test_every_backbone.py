"""The papers' decoders over one backbone of every family: built where its maps allow it, else refused."""

from __future__ import annotations

import pytest
import torch

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES, Backbone
from segkit.models.factory import create_model

DECODERS = ("fcn32s", "fcn16s", "fcn8s", "segnet", "deconvnet", "enet")
STRIDES = {"fcn32s": {32}, "fcn16s": {16, 32}, "fcn8s": {8, 16, 32}}


def fits(decoder: str, backbone: Backbone) -> bool:
    strides = [spec.stride for spec in backbone.specs]
    if "valid_convolutions" in backbone.capabilities:
        return False
    if decoder in STRIDES:
        return set(strides) >= STRIDES[decoder]
    return "pool_indices" in backbone.capabilities and (decoder != "enet" or 2 in strides[:-1])


def first_of_each_family() -> list[str]:
    ours = [name for name in BACKBONES if BACKBONES.get(name).family == "segkit"]
    return list({BACKBONES.get(name).build.__module__: name for name in reversed(ours)}.values())


@pytest.mark.parametrize("name", first_of_each_family())
def test_logits_have_the_images_size_or_the_pair_is_refused(name: str) -> None:
    images = torch.zeros(1, 3, 61, 67, device="meta")
    with torch.device("meta"):
        backbone = BACKBONES.get(name).build(3)
        for decoder in DECODERS:
            if fits(decoder, backbone):
                model = create_model(name, decoder, num_classes=2).eval()
                assert model(images)["segment"].shape == (1, 2, 61, 67)
            else:
                with pytest.raises(UsageError, match=f"decoder {decoder}"):
                    create_model(name, decoder, num_classes=2)
