"""Images and masks from files, and back: true values, orientation applied, nothing half-read, nothing half-written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segkit.data.readers._base import READERS, STEPS_INSIDE, Raster, decoding, reader_name
from segkit.data.readers._tiff_regions import inside, read_tiff_region
from segkit.data.readers.tiff import TIFF_SUFFIXES
from segkit.errors import UnreadableFileError
from segkit.ops.files import replacing, write_atomically
from segkit.structures import ClassMap

IMAGE_SUFFIXES = frozenset(READERS.names()) - STEPS_INSIDE.keys()
"""Suffixes of the files that hold one image and can be read, lower case with the dot."""

MASK_TILE = 512
"""Side of the tiles of a mask that is written as TIFF."""


def read_raster(path: str | Path) -> Raster:
    """Decode a file: its image, its mask values, and how they are stored; raises `UnreadableFileError`."""
    path = Path(path)
    suffix = reader_name(path)
    if suffix not in IMAGE_SUFFIXES | STEPS_INSIDE.keys():
        raise UnreadableFileError(path, f"suffix {path.suffix!r} is not one of {', '.join(sorted(IMAGE_SUFFIXES))}")
    if path.is_file() and path.stat().st_size == 0:
        raise UnreadableFileError(path, "the file is empty (0 bytes)")
    with decoding(path):
        return READERS.get(suffix)(path)


def read_channels(files: Sequence[str | Path]) -> Raster:
    """Decode an image whose channels lie in several files, in their order; what else is known is the first file's.

    Raises `UnreadableFileError` as `read_raster` does, and where a file differs from the first in size or type.
    """
    first, *others = rasters = [read_raster(file) for file in files]
    if not others:
        return first
    channels = [raster.image() for raster in rasters]
    for raster, image in zip(rasters, channels, strict=True):
        if image.shape[:2] != channels[0].shape[:2] or image.dtype != channels[0].dtype:
            raise UnreadableFileError(
                raster.path,
                f"{_described(image)}, but {first.path.name}, a channel of the same image, {_described(channels[0])}",
            )
    return replace(first, pixels=np.concatenate(channels, axis=2), palette=None, alpha=False)


def read_image(path: str | Path) -> NDArray[Any]:
    """The image in a file.

    Returns:
        (H, W, C), stored values in uint8, uint16 or float32, EXIF orientation applied, colours in the order R, G, B, A.
        A palette becomes RGB; an opacity channel that is opaque everywhere is dropped.

    Raises:
        UnreadableFileError: missing, damaged, cut short, no image, or too large.
    """
    return read_raster(path).image()


def read_region(path: str | Path, top: int, left: int, height: int, width: int) -> NDArray[Any]:
    """A part of the image in a file, cut off at its border; of a TIFF file no more is read than the part needs.

    Returns:
        (H, W, C) as `read_image` gives it, H and W at most `height` and `width`.

    Raises:
        UnreadableFileError: as `read_image` does, and where the part lies outside the image.
    """
    path = Path(path)
    region = top, left, height, width
    if reader_name(path) in TIFF_SUFFIXES:
        with decoding(path):
            part = read_tiff_region(path, region)
        if part is not None:
            return part.image()
    image = read_image(path)
    top, left, height, width = inside(path, region, image.shape[:2])
    return image[top : top + height, left : left + width]


def read_mask(path: str | Path) -> NDArray[Any]:
    """The stored values of a mask file.

    Returns:
        (H, W), ids or palette indices of an integer dtype, EXIF orientation applied; colours are packed as
        `r << 16 | g << 8 | b`, gray ones too.

    Raises:
        UnreadableFileError: missing, damaged, cut short, or without one whole number per pixel.
    """
    return read_raster(path).mask()


def write_mask(path: str | Path, ids: NDArray[np.uint8 | np.uint16], classes: ClassMap) -> None:
    """Write class ids (H, W) as PNG: with the class colours as palette while all ids are below 256, else 16-bit gray.

    The file appears under its name only when it is complete; raises `OutputError` when it cannot be written.
    """
    if classes.id_dtype is np.uint16:
        return _write(path, Image.fromarray(ids.astype(np.uint16)))
    image = Image.fromarray(ids.astype(np.uint8), mode="P")
    image.putpalette(_palette(classes, max(classes.ids) + 1).tobytes())
    return _write(path, image)


def write_tiled_mask(
    path: Path, temporary: Path, bands: Iterable[NDArray[Any]], size: tuple[int, int], classes: ClassMap
) -> None:
    """Write class ids as a compressed TIFF of tiles, colours as those of `write_mask`, without having them all at once.

    The same ids give the same bytes. Raises `OutputError` as `write_mask` does.

    Args:
        path: of the mask.
        temporary: where it is written first; removed where it cannot be finished.
        bands: the ids of the mask's rows (`MASK_TILE`, W) by rows (`MASK_TILE`, W), of the last as many as there are.
        size: (H, W).
        classes: what the ids mean.
    """
    colors: dict[str, Any] = {"photometric": "minisblack"}
    if classes.id_dtype is np.uint8:
        colors = {"photometric": "palette", "colormap": np.ascontiguousarray(_palette(classes, 256).T) * np.uint16(257)}
    with replacing(path, temporary):
        tifffile.imwrite(
            temporary,
            (tile for band in bands for tile in _tiles(band)),
            shape=size,
            dtype=classes.id_dtype,
            tile=(MASK_TILE, MASK_TILE),
            compression="zlib",
            metadata=None,
            **colors,
        )


def _tiles(band: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The tiles of some rows, all of one size."""
    height, width = band.shape
    for left in range(0, width, MASK_TILE):
        tile = np.zeros((MASK_TILE, MASK_TILE), band.dtype)
        tile[:height, : min(MASK_TILE, width - left)] = band[:, left : left + MASK_TILE]
        yield tile


def _palette(classes: ClassMap, count: int) -> NDArray[np.uint8]:
    """(count, 3) the colours of the ids, black where no class has one."""
    colors = np.zeros((count, 3), np.uint8)
    colors[list(classes.ids)] = classes.colors
    return colors


def _described(image: NDArray[Any]) -> str:
    return f"holds {image.shape[1]} x {image.shape[0]} {image.dtype}"


def write_image(path: str | Path, image: NDArray[np.uint8]) -> None:
    """Write an 8-bit image (H, W) or (H, W, 1, 3 or 4) as PNG; raises `OutputError` when it cannot be written."""
    _write(path, Image.fromarray(image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image))


def _write(path: str | Path, image: Image.Image) -> None:
    encoded = BytesIO()
    image.save(encoded, format="PNG")
    write_atomically(path, encoded.getvalue())
