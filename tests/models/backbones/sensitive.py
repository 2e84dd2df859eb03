"""Comparison with torchvision's networks under weights that let the logits depend on the images, as after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from segkit.models.model import Model


def torchvision_network(name: str, images: Tensor, **options: Any) -> Any:
    """Torchvision's network `name` with the weights of `randomize`, in evaluation mode."""
    network = torchvision.models.get_model(name, **options)
    randomize(network, images)
    return network


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
    calibrate(network, images)


def calibrate(network: nn.Module, images: Tensor) -> None:
    """Make the running statistics of `network` those of `images`, in place, and leave it in evaluation mode."""
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = 1.0
    with torch.inference_mode():
        network.train()(images)
    for layer in norms:
        layer.momentum = 0.1
    network.eval()


def depends_on_images(logits: Tensor) -> bool:
    """Whether the logits of two images differ by far more than the tolerance of comparisons, 1e-4."""
    return float((logits[0] - logits[1]).abs().max()) > 0.02


def assert_equal_to_torchvision(
    ours: Model, theirs: Any, rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]], images: Tensor
) -> None:
    """Load the network `theirs` of `torchvision_network` into `ours`; compare the logits of two images or more.

    They are compared in evaluation and in training, and so is what the pass in training leaves behind: networks with
    dropout must have it at 0.
    """
    ours.load_state_dict(rename(theirs.state_dict()), strict=True)
    with torch.no_grad():
        logits = theirs(images)
        assert depends_on_images(logits)
        torch.testing.assert_close(ours.eval()(images)["classify"], logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(ours.train()(images)["classify"], theirs.train()(images), rtol=1e-4, atol=1e-4)
    # A pass in training moved the running estimates, of both alike.
    for key, tensor in rename(theirs.state_dict()).items():
        torch.testing.assert_close(ours.state_dict()[key], tensor, rtol=1e-4, atol=1e-4)
