"""AdamW and SGD: which parameters are decayed, what a step does, and that it is fused."""

from __future__ import annotations

import pytest
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


def test_sgd_is_plain_momentum_with_decay_in_the_gradient() -> None:
    """Two steps by hand (Krizhevsky et al. 2012, section 5, with torch's learning rate outside the velocity)."""
    model = nn.Linear(1, 1)
    nn.init.constant_(model.weight, 2.0)
    nn.init.constant_(model.bias, 1.0)
    optimizer = create_optimizer(model, 0.1, 0.5, "sgd", momentum=0.9)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.tensor([[3.0]])).sum().backward()
        optimizer.step()
    velocity = 3 + 0.5 * 2.0
    weight = 2.0 - 0.1 * velocity
    velocity = 0.9 * velocity + 3 + 0.5 * weight
    assert model.weight.item() == pytest.approx(weight - 0.1 * velocity)
    assert model.bias.item() == pytest.approx(1 - 0.1 - 0.1 * 1.9)


def test_fused() -> None:
    for name in ("adamw", "sgd"):
        optimizer = create_optimizer(tiny_net(), 1e-3, 0.1, name)
        assert all(group["fused"] for group in optimizer.param_groups)
