"""Readers of image files, one file per family, registered by suffix."""
