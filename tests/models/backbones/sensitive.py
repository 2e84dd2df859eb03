"""Random weights under which a network's logits depend on its images, as after training."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def randomize(network: nn.Module, images: Tensor) -> None:
    """Give `network` random weights, and running statistics that are those of `images`, in place.

    With the usual initial weights and statistics the images fade layer by layer: networks of different graphs would
    give equal logits to many digits, and a comparison would show nothing.
    """
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, generator=generator)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1, generator=generator)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(layer.bias, std=0.1, generator=generator)
            layer.momentum = 1.0
    with torch.inference_mode():
        network.train()(images)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1


def depends_on_images(logits: Tensor) -> bool:
    """Whether the logits of two images differ by far more than the tolerance of comparisons, 1e-4."""
    return float((logits[0] - logits[1]).abs().max()) > 0.02
