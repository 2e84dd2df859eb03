"""Heads of classification: features to one logit per class."""

from __future__ import annotations

from torch import Tensor, nn

from segkit.models.features import Features
from segkit.models.layers.initialization import initialize_head


class ClassifyHead(nn.Module):
    """Features to logits (N, K).

    Attributes:
        smallest_image: the least height and width in pixels; smaller images are mirrored up to it.
    """

    smallest_image: int = 1

    def forward(self, features: Features) -> Tensor:
        """The logits (N, K)."""
        raise NotImplementedError

    def auxiliary(self, features: Features) -> tuple[Tensor, ...]:  # noqa: ARG002
        """Logits (N, K) of side classifiers, which only training asks for."""
        return ()


class PoolingHead(ClassifyHead):
    """Global average pooling and a linear layer (Lin et al. 2014, "Network in network", section 3.2)."""

    def __init__(self, in_channels: int, num_classes: int, smallest_image: int = 1) -> None:
        super().__init__()
        self.smallest_image = smallest_image
        self.linear = nn.Linear(in_channels, num_classes)
        initialize_head(self)

    def forward(self, features: Features) -> Tensor:
        """The last map (N, C, h, w) to logits (N, K)."""
        return self.linear(features.maps[-1].mean(dim=(2, 3)))
