"""Decoders: feature maps to one map; one file per decoder or library."""
