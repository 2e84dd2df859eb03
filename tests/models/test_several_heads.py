"""Networks of several heads: one pass of the backbone, every head's outputs, any size."""

from __future__ import annotations

import pytest
import torch

from segkit.errors import UsageError
from segkit.models.factory import create_model
from segkit.structures import TaskName

ALL: dict[TaskName, int] = {"segment": 3, "instances": 2, "detect": 2, "classify": 4}
BACKBONES = ["alexnet", "vgg11", "googlenet", "inception_v3", "resnet18", "densenet121", "plain", "smp/mobilenet_v2"]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_heads_on_every_family(backbone: str) -> None:
    torch.manual_seed(0)
    model = create_model(backbone=backbone, heads=ALL, in_channels=3).eval()
    calls = []
    model.backbone.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        outputs = model(torch.rand(1, 3, 97, 70))
    assert calls == [1]
    places = outputs["detect"].shape[1]
    assert {name: tuple(found.shape) for name, found in outputs.items()} == {
        "segment": (1, 3, 97, 70),
        "instances": (1, 3, 97, 70),
        "detect": (1, places, 2),
        "detect/boxes": (1, places, 4),
        "detect/centerness": (1, places),
        "classify": (1, 4),
    }


def test_gradients_reach_every_head_and_the_backbone() -> None:
    torch.manual_seed(0)
    model = create_model(heads=ALL, in_channels=1, backbone_options={"width": 8}).train()
    sum(found.float().mean() for found in model(torch.rand(2, 1, 64, 64)).values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_places_and_boxes_are_in_pixels_of_the_image_whatever_was_padded() -> None:
    torch.manual_seed(0)
    model = create_model(task="detect", num_classes=2, in_channels=1, backbone_options={"width": 8}).train()
    outputs = model(torch.rand(2, 1, 50, 40))  # mirrored to 64 x 48: 7 rows and 4 columns at either side
    finest = outputs["detect/places"][: 8 * 6, :2]
    assert finest[0].tolist() == [4 - 4, 4 - 7]
    assert finest[-1].tolist() == [44 - 4, 60 - 7]
    middles = (outputs["detect/boxes"][:, :, :2] + outputs["detect/boxes"][:, :, 2:]) / 2
    assert (middles[:, : 8 * 6] - finest).abs().max() < 8


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match=r"maps of strides 1, 2, 4.*finest_stride=4"):
        create_model(backbone="lenet5", task="detect", num_classes=2, in_channels=1)
    with pytest.raises(UsageError, match="gives logits of one head"):
        create_model(backbone="vgg16", decoder="fcn8s", heads={"segment": 2, "instances": 2})
    with pytest.raises(UsageError, match="num_classes for one task, or heads"):
        create_model(backbone="resnet18")
    with pytest.raises(UsageError, match="channels=48 is not allowed"):
        create_model(task="detect", num_classes=2, detect_options={"channels": 48})
