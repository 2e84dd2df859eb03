"""One class per pixel: border weights in a batch reach the loss."""

from __future__ import annotations

import torch

from segkit.losses import create_loss
from segkit.tasks import PixelTask


def test_border_weights_of_a_batch_reach_the_loss() -> None:
    random = torch.Generator().manual_seed(0)
    outputs = {"segment": torch.randn(2, 3, 4, 5, generator=random)}
    batch = {"mask": torch.randint(0, 3, (2, 4, 5), generator=random)}
    criterion = create_loss("ce_dice", 3)
    task, weight = PixelTask("segment", criterion), 10 * torch.rand(2, 4, 5, generator=random)
    weighted = task.loss(outputs, {**batch, "border_weight": weight})["loss"]
    assert torch.equal(weighted, criterion(outputs["segment"], batch["mask"], weight))
    assert not torch.equal(weighted, task.loss(outputs, batch)["loss"])


def test_border_weights_are_the_mask_s_and_leave_objects_alone() -> None:
    random = torch.Generator().manual_seed(0)
    outputs = {"instances": torch.randn(2, 3, 4, 5, generator=random)}
    batch = {"cells": torch.randint(0, 3, (2, 4, 5), generator=random)}
    task = PixelTask("instances", create_loss("ce", 3))
    weighted = task.loss(outputs, {**batch, "border_weight": torch.full((2, 4, 5), 7.0)})["loss"]
    assert torch.equal(weighted, task.criterion(outputs["instances"], batch["cells"]))
