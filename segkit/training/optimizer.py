"""AdamW with weight decay where it belongs."""

from __future__ import annotations

import torch
from torch import nn

FUSED_DEVICES = ("cpu", "cuda", "mps")


def create_optimizer(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter, 2019) over the trainable parameters, in one fused kernel where the device has it.

    Biases and the parameters of norms have one dimension and are not decayed: pulling a scale towards 0 regularises
    nothing, the next layer undoes it.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trainable if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trainable if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    fused = all(parameter.device.type in FUSED_DEVICES for parameter in trainable)
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, fused=fused)
