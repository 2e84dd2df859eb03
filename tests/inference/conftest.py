"""Fixtures that several test files of this package use."""

from tests.export.conftest import exported

__all__ = ["exported"]
