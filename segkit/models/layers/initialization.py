"""Initial weights of segkit's own layers."""

from __future__ import annotations

from torch import nn

from segkit.models.layers.upsample import SubPixelConvolution


def initialize(module: nn.Module) -> None:
    """Give every layer inside `module` its initial weights, in place.

    Convolutions before a ReLU: He et al. 2015 (fan in). A transposed convolution whose kernel equals its stride feeds
    each output pixel from one tap only: its fan in is the number of input channels. A sub-pixel convolution starts as
    one. Normalization starts as identity.
    """
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, std=layer.in_channels**-0.5)
        elif isinstance(layer, SubPixelConvolution):
            layer.initialize()
        elif isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.ones_(layer.weight)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d | nn.GroupNorm) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def initialize_head(module: nn.Module) -> None:
    """Weights of the layers that give logits: Glorot and Bengio 2010, bias zero, in place."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
