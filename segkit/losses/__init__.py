"""Losses on logits: `create_loss` builds one by name."""

from segkit.losses._base import BORDER_WEIGHTED, LOSSES, create_loss

__all__ = ["BORDER_WEIGHTED", "LOSSES", "create_loss"]
