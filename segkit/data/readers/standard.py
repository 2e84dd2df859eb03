"""PNG, JPEG, BMP, WebP and GIF."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segkit.data.readers._base import MAX_PIXELS, READERS, Raster, check_size, orient
from segkit.errors import UnreadableFileError

# Pillow's own guard refuses 179 megapixels, less than some phone cameras take.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

_ORIENTATION = 0x0112
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
_DIRECT_MODES = ("L", "LA", "RGB", "RGBA", "P", "I;16")

_DECODERS = {"PNG": imagecodecs.png_decode, "JPEG": imagecodecs.jpeg8_decode}
"""Those that decode into the array itself, of which Pillow has a copy, with four bytes for each pixel of colour."""

_LARGE = 2**26
"""Pixels of colour from which on that copy is spared."""

_ROWS = 1024


def read_standard(path: Path) -> Raster:
    """Decode through Pillow, and 16-bit colour PNG, which Pillow reduces to 8 bits, through libpng.

    Gray samples of 1, 2 or 4 bits are scaled to 0..255, as PNG's specification says; inks (CMYK, YCCK) become RGB.
    Of an animation the first frame is read.
    """
    try:
        with Image.open(path) as image:
            check_size(path, image.height, image.width)
            frames = _frames(image)
            is_deep = _is_deep(image)
            image.load()
            mode, kind, orientation = image.mode, image.format, _orientation(image)
            palette = _palette(image) if mode == "P" else None
            if _decodes_better(image, is_deep):
                image.close()  # frees Pillow's own
                pixels = _DECODERS[str(kind)](path.read_bytes())
            else:
                pixels = _pixels(image)
            return Raster(
                path=path,
                pixels=orient(pixels if pixels.ndim == 3 else pixels[..., None], orientation),
                palette=palette,
                alpha=mode in ("LA", "RGBA"),
                orientation=orientation,
                lossy=kind in ("JPEG", "MPO"),
                frames=frames,
            )
    except UnidentifiedImageError:
        raise UnreadableFileError(
            path, f"its name ends in {path.suffix}, but it is no image of a kind segkit reads"
        ) from None
    except Image.DecompressionBombError:
        raise UnreadableFileError(
            path, f"it claims far more than the limit of {MAX_PIXELS:,} pixels; cut it into tiles"
        ) from None


for _suffix in SUFFIXES:
    READERS.register(_suffix)(read_standard)


def _is_deep(image: Image.Image) -> bool:
    """Whether it is a PNG of 16-bit colour, before it is loaded."""
    deep = any(str(tile.args).endswith(";16B") for tile in getattr(image, "tile", ()))
    return image.format == "PNG" and deep and image.mode != "I;16"


def _frames(image: Image.Image) -> int:
    # Phones write a preview behind the photograph in one JPEG (MPO): no animation, the first is the photograph.
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _orientation(image: Image.Image) -> int:
    orientation = image.getexif().get(_ORIENTATION, 1)
    return int(orientation) if orientation in range(1, 9) else 1


def _palette(image: Image.Image) -> NDArray[np.uint8]:
    """256 colours; indices the file's palette lacks are black."""
    colors = np.zeros((256, 3), np.uint8)
    given = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colors[: len(given)] = given
    return colors


def _decodes_better(image: Image.Image, is_deep: bool) -> bool:
    """Whether the file is to be decoded again: because of its values, or for the memory that takes."""
    if is_deep:
        return True
    is_plain = image.mode in ("LA", "RGB", "RGBA") and "transparency" not in image.info
    return image.format in _DECODERS and is_plain and image.width * image.height > _LARGE


def _pixels(image: Image.Image) -> NDArray[np.uint8 | np.uint16]:
    """Pillow's pixels, copied some rows at a time: at once they would be there three times."""
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode not in _DIRECT_MODES:
        image = image.convert("RGB")
    shape = (image.height, image.width, len(image.getbands()))
    pixels = np.empty(shape, np.uint16 if image.mode == "I;16" else np.uint8)
    for top in range(0, image.height, _ROWS):
        rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
        pixels[top : top + _ROWS] = np.asarray(rows).reshape(-1, *shape[1:])
    return pixels
