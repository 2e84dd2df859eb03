"""A real network gives in tiles what it gives on the whole image, as far as it looks no further than a tile."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.models.factory import create_model
from tests.inference.networks import class_map, plain_pipeline


@pytest.mark.parametrize("upsample", ["nearest", "transposed"])
def test_a_plain_unet_agrees_on_all_but_a_thousandth_of_the_pixels(upsample: str) -> None:
    torch.manual_seed(0)
    network = create_model("plain", "unet", num_classes=3, upsample=upsample, backbone_options={"width": 4})
    coarse = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
    image = coarse.repeat(16, axis=0).repeat(16, axis=1)
    whole, tiled = (
        Predictor(
            TorchEngine(network),
            plain_pipeline(stride_multiple=network.stride_multiple, tile=512, whole_limit=limit),
            {"segment": class_map(3)},
        )
        .segment(image)
        .mask
        for limit in (10**6, 1)
    )
    assert len(np.unique(whole)) > 1
    assert (tiled == whole).mean() >= 0.999
