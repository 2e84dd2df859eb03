"""The head of classification: a map to one logit per class."""

from __future__ import annotations

from torch import Tensor, nn

from segkit.models.layers.initialization import initialize_head


class ClassifyHead(nn.Module):
    """Global average pooling and a linear layer (Lin et al. 2014, "Network in network", section 3.2)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, num_classes)
        initialize_head(self)

    def forward(self, x: Tensor) -> Tensor:
        """A map (N, C, h, w) to logits (N, K)."""
        return self.linear(x.mean(dim=(2, 3)))
