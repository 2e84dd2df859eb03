"""Tests of segkit.evaluation."""
