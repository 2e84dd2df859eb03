"""Tests of segkit.report."""
