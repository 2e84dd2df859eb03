"""Layers the networks are built of."""
