"""How much memory a file's pixels will take, by its head alone."""

from __future__ import annotations

from pathlib import Path

import tifffile
from PIL import Image

from segkit.data.readers._base import suffix_of
from segkit.data.readers.standard import SUFFIXES
from segkit.data.readers.tiff import TIFF_SUFFIXES

_SMALL_FILE = 2**16
"""Bytes of a file that are not worth a look: deflate packs at most a thousand times as many into it."""


def decoded_bytes(path: Path) -> int:
    """Bytes of the image in a file once it is decoded; 0 where the file is small, or its head does not tell."""
    suffix = suffix_of(path)
    try:
        if suffix not in (*SUFFIXES, *TIFF_SUFFIXES) or path.stat().st_size < _SMALL_FILE:
            return 0
        if suffix in TIFF_SUFFIXES:
            with tifffile.TiffFile(path) as file:
                return int(file.pages.first.nbytes) * len(file.pages)
        with Image.open(path) as image:
            return image.width * image.height * len(image.getbands())
    except Exception:  # a damaged file can make a decoder raise anything, and is a finding when it is read
        return 0
