"""AdamW: which parameters are decayed, and that it is fused."""

from __future__ import annotations

import torch
from torch import nn

from segkit.training.optimizer import create_optimizer
from tests.training.tiny import tiny_net


def test_norms_and_biases_are_not_decayed() -> None:
    model = tiny_net()
    optimizer = create_optimizer(model, learning_rate=1e-3, weight_decay=0.05)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    by_name = {name: decay[id(parameter)] for name, parameter in model.named_parameters()}
    assert {name for name, value in by_name.items() if value == 0.05} == {"layers.0.weight", "layers.4.weight"}
    assert len(by_name) == 6


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    (group,) = create_optimizer(model, 1e-3, 0.1).param_groups
    assert [parameter.shape for parameter in group["params"]] == [torch.Size([2])]


def test_fused() -> None:
    optimizer = create_optimizer(tiny_net(), 1e-3, 0.1)
    assert all(group["fused"] for group in optimizer.param_groups)
