"""The loss of boxes against torchvision's FCOS, and by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torchvision.models.detection.fcos import FCOS, FCOSHead

from segkit.losses import create_loss
from segkit.models.config import Option
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.structures import IGNORE_INDEX, TASKS, TaskName
from segkit.tasks import ClassifyTask, CombinedTask, DetectTask, PixelTask, Task
from segkit.tasks.detect import NOT_COUNTED, centerness, match_places

STRIDES = (8, 16, 32)


def random_targets(images: int, most: int, size: int = 256) -> list[dict[str, torch.Tensor]]:
    targets = []
    for image in range(images):
        count = 0 if image == 0 else int(torch.randint(1, most, ()))
        corners = torch.rand(count, 2) * size * 0.8
        boxes = torch.cat([corners, corners + 5 + torch.rand(count, 2) * size * 0.5], dim=1)
        targets.append({"boxes": boxes, "labels": torch.randint(3, (count,))})
    return targets


def batch_of(targets: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    longest = max(len(target["labels"]) for target in targets)
    boxes, labels = torch.zeros(len(targets), longest, 4), torch.full((len(targets), longest), IGNORE_INDEX)
    for row, target in enumerate(targets):
        boxes[row, : len(target["labels"])], labels[row, : len(target["labels"])] = target["boxes"], target["labels"]
    return {"image": torch.zeros(len(targets), 1, 256, 256), "boxes": boxes, "box_label": labels}


def places_of(size: int = 256) -> torch.Tensor:
    levels = []
    for stride in STRIDES:
        y, x = torch.meshgrid(*(torch.arange(size // stride) * stride + stride / 2,) * 2, indexing="ij")
        levels.append(torch.stack([x.flatten(), y.flatten(), torch.full((x.numel(),), float(stride))], dim=1))
    return torch.cat(levels)


def small_model(heads: dict[TaskName, int]) -> Model:
    """In training, with maps of strides 2 to 16 of which boxes are found on 8 to 64."""
    options: dict[str, Option] = {"width": 4, "depth": 4, "stem_stride": 2}
    head: dict[str, Option] = {"channels": 64, "convolutions": 1}
    return create_model(heads=heads, in_channels=1, backbone_options=options, detect_options=head).train()


@pytest.mark.parametrize("seed", range(5))
def test_loss_equals_torchvision(seed: int) -> None:
    torch.manual_seed(seed)
    targets, places = random_targets(4, 12), places_of()
    half = places[:, 2:] / 2
    anchors = [torch.cat([places[:, :2] - half, places[:, :2] + half], dim=1)] * 4
    regression = torch.rand(4, len(places), 4) * 4
    outputs = {
        "cls_logits": torch.randn(4, len(places), 3),
        "bbox_regression": regression,
        "bbox_ctrness": torch.randn(4, len(places), 1),
    }
    theirs = FCOS.compute_loss(
        SimpleNamespace(center_sampling_radius=1.5, head=FCOSHead(32, 1, 3, 1)),
        targets, outputs, anchors, [(256 // stride) ** 2 for stride in STRIDES],
    )  # fmt: skip
    distances = regression * places[:, 2:]
    boxes = torch.cat([places[:, :2] - distances[..., :2], places[:, :2] + distances[..., 2:]], dim=-1)
    found = DetectTask().loss(
        {
            "detect": outputs["cls_logits"],
            "detect/boxes": boxes,
            "detect/centerness": outputs["bbox_ctrness"].squeeze(2),
            "detect/places": places,
        },
        batch_of(targets),
    )
    for ours, other in (
        ("class_loss", "classification"),
        ("box_loss", "bbox_regression"),
        ("centerness_loss", "bbox_ctrness"),
    ):
        torch.testing.assert_close(found[ours], theirs[other], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found["loss"], sum(theirs.values()), rtol=1e-5, atol=1e-6)


def test_places_by_hand() -> None:
    places = torch.tensor([[12.0, 12.0, 8.0], [60.0, 60.0, 8.0], [100.0, 100.0, 8.0]])
    boxes = torch.tensor([[4.0, 4, 20, 20], [0, 0, 24, 24], [90, 90, 110, 110], [0, 0, 0, 0]])
    labels = torch.tensor([1, 0, IGNORE_INDEX, IGNORE_INDEX])
    # The first place is central in two boxes and learns the smaller, the last lies in a region that does not count.
    assert match_places(places, boxes, labels).tolist() == [0, -1, NOT_COUNTED]
    assert match_places(places, boxes[:0], labels[:0]).tolist() == [-1, -1, -1]
    middle, side = torch.tensor([[12.0, 12.0]]), torch.tensor([[8.0, 12.0]])
    assert centerness(middle, boxes[:1]).item() == 1
    assert centerness(side, boxes[:1]).item() == pytest.approx((4 / 12) ** 0.5)


@pytest.mark.parametrize("side", [64, 90, 96])  # beyond 64 places of the coarser maps lie outside the image
def test_where_nothing_counts_the_loss_is_zero_and_gradients_are(side: int) -> None:
    torch.manual_seed(0)
    model = small_model(dict.fromkeys(TASKS, 2))
    batch = {
        "image": torch.rand(2, 1, side, side),
        "boxes": torch.tensor([[[0.0, 0, side, side]]] * 2),
        "box_label": torch.full((2, 1), IGNORE_INDEX),
        "mask": torch.full((2, side, side), IGNORE_INDEX),
        "cells": torch.full((2, side, side), IGNORE_INDEX),
        "label": torch.full((2,), IGNORE_INDEX),
    }
    tasks: dict[TaskName, Task] = {
        "segment": PixelTask("segment", create_loss("ce_dice", 2)),
        "instances": PixelTask("instances", create_loss("ce_dice", 3)),
        "detect": DetectTask(),
        "classify": ClassifyTask(create_loss("ce", 2), label_smoothing=0.1),
    }
    found = CombinedTask(tasks, dict.fromkeys(tasks, 1.0)).loss(model(batch["image"]), batch)
    assert found["loss"].item() == 0
    found["loss"].backward()
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("count", [0, 3])
def test_boxes_are_learnt_in_bfloat16_and_images_without_any_teach_the_background(count: int) -> None:
    torch.manual_seed(0)
    model = small_model({"detect": 2})
    corners = torch.tensor([[8.0, 8, 40, 40], [30, 50, 90, 120], [100, 20, 124, 60]])[:count]
    batch = {
        "image": torch.rand(2, 1, 128, 128),
        "boxes": corners.expand(2, -1, -1),
        "box_label": torch.tensor([0, 1, 1])[:count].expand(2, -1),
    }
    exact = DetectTask().loss(model(batch["image"]), batch)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = DetectTask().loss(model(batch["image"]), batch)
    assert {loss.dtype for loss in rounded.values()} == {torch.float32}
    torch.testing.assert_close(rounded["loss"], exact["loss"], rtol=0.02, atol=0)
    rounded["loss"].backward()
    learning = {name: bool(p.grad.any()) for name, p in model.named_parameters() if p.grad is not None}
    assert learning["heads.detect.detector.classification_head.cls_logits.weight"]
    assert learning["heads.detect.detector.regression_head.bbox_reg.weight"] == (count > 0)
    assert learning["backbone.levels.0.0.0.weight"]


def test_weights_of_heads_add_up() -> None:
    class Fixed(DetectTask):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def loss(self, outputs: object, batch: object) -> dict[str, torch.Tensor]:
            return {"loss": torch.tensor(self.value)}

    task = CombinedTask({"segment": Fixed(2.0), "detect": Fixed(3.0)}, {"segment": 1.0, "detect": 0.5})
    assert {name: value.item() for name, value in task.loss({}, {}).items()} == {
        "loss": 3.5, "segment_loss": 2.0, "detect_loss": 3.0
    }  # fmt: skip
