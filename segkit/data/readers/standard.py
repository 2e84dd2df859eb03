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
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
_DIRECT_MODES = ("L", "LA", "RGB", "RGBA", "P", "I;16")


def read_standard(path: Path) -> Raster:
    """Decode through Pillow, and 16-bit colour PNG, which Pillow reduces to 8 bits, through libpng.

    Gray samples of 1, 2 or 4 bits are scaled to 0..255, as PNG's specification says; inks (CMYK, YCCK) become RGB.
    Of an animation the first frame is read.
    """
    try:
        with Image.open(path) as image:
            check_size(path, image.height, image.width)
            frames = _frames(image)
            deep = (
                image.format == "PNG"
                and any(str(tile.args).endswith(";16B") for tile in image.tile)
                and image.mode != "I;16"
            )
            image.load()
            orientation = _orientation(image)
            palette = _palette(image) if image.mode == "P" else None
            pixels = _decode_deep(path) if deep else _pixels(image)
            return Raster(
                path=path,
                pixels=orient(pixels if pixels.ndim == 3 else pixels[..., None], orientation),
                palette=palette,
                alpha=image.mode in ("LA", "RGBA"),
                orientation=orientation,
                lossy=image.format in ("JPEG", "MPO"),
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


for _suffix in _SUFFIXES:
    READERS.register(_suffix)(read_standard)


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


def _pixels(image: Image.Image) -> NDArray[np.uint8 | np.uint16]:
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    return np.asarray(image if image.mode in _DIRECT_MODES else image.convert("RGB"))


def _decode_deep(path: Path) -> NDArray[np.uint16]:
    decoded: NDArray[np.uint16] = imagecodecs.png_decode(path.read_bytes())
    return decoded
