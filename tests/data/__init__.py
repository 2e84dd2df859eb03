"""Tests of segkit.data."""
