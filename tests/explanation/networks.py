"""Networks whose explanation is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.models.factory import create_model
from segkit.models.model import Model
from tests.inference.networks import class_map, plain_pipeline

SIDE = 64
SQUARE = (slice(8, 24), slice(40, 56))
"""Rows and columns of the bright square of the image."""


def bright_square() -> NDArray[np.uint8]:
    """A gray image with one bright square at the upper right."""
    image = np.full((SIDE, SIDE, 3), 128, np.uint8)
    image[SQUARE] = 255
    return image


def write_image(path: Path, image: NDArray[np.uint8] | None = None) -> Path:
    Image.fromarray(bright_square() if image is None else image).save(path)
    return path


def bright_classifier() -> Predictor:
    """Says class 1 as far as the image is bright: every path of a small network but one is zero."""
    model = create_model("plain", num_classes=3, task="classify", backbone_options={"width": 2, "depth": 3})
    _pass_brightness_on(model)
    with torch.no_grad():
        head = model.get_submodule("heads.classify.linear")
        assert isinstance(head, torch.nn.Linear)
        head.weight.zero_()
        head.bias.zero_()
        head.weight[1, 0] = 20
    return _predictor(model, "classify")


def bright_segmenter(depth: int = 3) -> Predictor:
    """Random weights: for what holds of any network."""
    torch.manual_seed(0)
    return _predictor(
        create_model("plain", "unet", num_classes=3, backbone_options={"width": 4, "depth": depth}), "segment"
    )


def losing_segmenter() -> Predictor:
    """Random weights, and a network that loses the border of every map."""
    torch.manual_seed(0)
    return _predictor(
        create_model("unet2015", "unet2015", num_classes=3, backbone_options={"width": 4, "depth": 3}), "segment"
    )


def bright_unet2015(task: Any) -> Predictor:
    """Says class 1 as far as the image is bright, and loses the border of every map."""
    torch.manual_seed(0)
    decoder = "unet2015" if task == "segment" else None
    model = create_model("unet2015", decoder, num_classes=3, task=task, backbone_options={"width": 2, "depth": 3})
    _pass_brightness_on(model)
    with torch.no_grad():
        for part in (model.decoder, model.heads):
            for parameter in part.parameters() if part is not None else ():
                parameter.abs_()  # what is bright speaks for a class, never against it
        *_, weight, bias = model.heads.parameters()
        weight[[0, 2]] = 0
        bias.zero_()
    return _predictor(model, task)


def _pass_brightness_on(model: Model) -> None:
    """Channel 0 of each level is the first channel of the one before, seen through 1 x 1 taps."""
    with torch.no_grad():
        for module in model.backbone.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.zero_()
                module.weight[0, 0, 1, 1] = 1


def _predictor(model: Model, task: Any) -> Predictor:
    sizes = {name: getattr(model, name) for name in ("margin", "stride_multiple", "stride_remainder")}
    return Predictor(TorchEngine(model), plain_pipeline(size=None, **sizes), {task: class_map(3)})
