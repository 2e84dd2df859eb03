"""AdamW or SGD, with weight decay where it belongs."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

FUSED_DEVICES = ("cpu", "cuda", "mps")


def create_optimizer(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float,
    name: Literal["adamw", "sgd"] = "adamw",
    momentum: float = 0.9,
) -> torch.optim.Optimizer:
    """An optimizer over the trainable parameters, in one fused kernel where the device has it.

    Biases and the parameters of norms have one dimension and are not decayed: pulling a scale towards 0 regularises
    nothing, the next layer undoes it.

    Args:
        model: the network.
        learning_rate: of every parameter.
        weight_decay: decoupled for AdamW (Loshchilov & Hutter, 2019); for SGD added to the gradient, as in the papers
            of AlexNet (2012, section 5) and VGG (2014, section 3.1).
        name: AdamW, or SGD with momentum and without Nesterov's look ahead.
        momentum: SGD's.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(parameter.device.type in FUSED_DEVICES for parameter in trainable)
    if name == "sgd":
        return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum, fused=fused)
    return torch.optim.AdamW(groups, lr=learning_rate, fused=fused)
