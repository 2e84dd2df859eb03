"""The version, apart so that it is known without importing anything."""

__version__ = "0.1.0"
