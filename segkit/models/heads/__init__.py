"""Heads: a map to the logits of a task."""
