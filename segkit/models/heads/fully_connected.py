"""The fully connected classifier of the networks of 2012 to 2014."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from segkit.models.features import Features
from segkit.models.heads.classify import ClassifyHead
from segkit.models.layers.activation import ActivationName, create_activation, input_channels


class FullyConnectedHead(ClassifyHead):
    """Hidden layers with activation and dropout, then the logits.

    The layers are convolutions, the first as large as the map that the paper flattens. At the paper's image size that
    is the same function with the same parameters; on larger images the logits are averaged over all positions
    (Simonyan and Zisserman 2014, section 3.2).

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: number of logits.
        kernel_size: height and width of that map at the paper's image size.
        smallest_image: the paper's image size; smaller images are mirrored up to it.
        hidden: channels of the hidden layers.
        dropout: share of activations dropped in training.
        dropout_first: whether dropout comes before the hidden layers, as in torchvision's AlexNet, or after them.
        activation: of the hidden layers, see `create_activation`.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        kernel_size: int,
        smallest_image: int,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        dropout_first: bool = False,
        activation: ActivationName = "relu",
    ) -> None:
        super().__init__()
        self.smallest_image = smallest_image
        layers: list[nn.Module] = []
        for inputs, outputs, kernel in zip(
            (in_channels, *hidden), hidden, (kernel_size, *[1] * len(hidden)), strict=False
        ):
            convolution = nn.Conv2d(inputs, input_channels(activation, outputs), kernel)
            block: list[nn.Module] = [convolution, create_activation(activation, outputs)]
            layers += [nn.Dropout(dropout), *block] if dropout_first else [*block, nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(hidden[-1], num_classes, 1))

    def forward(self, features: Features) -> Tensor:
        """The last map (N, C, h, w) to logits (N, K)."""
        return self.layers(features.maps[-1]).mean(dim=(2, 3))
