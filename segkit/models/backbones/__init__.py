"""Backbones: networks from images to feature maps of growing stride; one file per family."""
