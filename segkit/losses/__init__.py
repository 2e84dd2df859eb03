"""Losses on logits: `create_loss` builds one by name."""

from segkit.losses._base import LOSSES, create_loss

__all__ = ["LOSSES", "create_loss"]
