"""Tests of segkit; the folders mirror the package."""
