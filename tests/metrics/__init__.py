"""Tests of segkit.metrics."""
