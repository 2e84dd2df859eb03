"""Tests of segkit.visualization."""
