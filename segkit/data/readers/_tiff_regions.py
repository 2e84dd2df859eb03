"""Parts of large TIFF images, of which the strips or tiles they touch are decoded and no others."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segkit.data.readers._base import Raster
from segkit.data.readers.tiff import (
    ORIENTATION,
    check_segments,
    has_alpha,
    main_series,
    map_stored,
    read_layout,
    read_palette,
)
from segkit.errors import UnreadableFileError

Region = tuple[int, int, int, int]
"""Top, left, height and width in pixels."""


def inside(path: Path, region: Region, size: tuple[int, int]) -> Region:
    """The region without what lies beyond the right and lower border of an image of `size` (H, W).

    Raises `UnreadableFileError` where nothing of it lies in the image.
    """
    top, left, height, width = region
    if not (0 <= top < size[0] and 0 <= left < size[1] and height > 0 and width > 0):
        raise UnreadableFileError(
            path, f"{width} x {height} pixels from row {top}, column {left} of an image of {size[1]} x {size[0]}"
        )
    return top, left, min(height, size[0] - top), min(width, size[1] - left)


def read_tiff_region(path: Path, region: Region) -> Raster | None:
    """A part of the image, cut off at its border.

    None where only the whole image tells its values: it is turned, or has an opacity that counts only if it is used
    anywhere. Raises what `read_tiff` does, and `UnreadableFileError` for a part that lies outside the image.
    """
    with tifffile.TiffFile(path) as file:
        series = main_series(path, file)
        layout, page = read_layout(path, series), series.keyframe
        if layout.stack is not None or has_alpha(page) or page.tags.valueof(ORIENTATION, 1) != 1:
            return None
        region = inside(path, region, layout.size(series))
        top, left, height, width = region
        if series.dataoffset is not None:
            stored = layout.to_channels_last(map_stored(path, file, series))
            pixels = np.array(stored[top : top + height, left : left + width], series.dtype)
        elif layout.size(series) != (page.imagelength, page.imagewidth):
            return None  # pages that are the rows of an image
        else:
            check_segments(path, series)
            pixels = np.concatenate([_read_page(file, one, region) for one in series.pages], axis=2)
        return Raster(path, pixels, read_palette(page))


def _read_page(file: Any, page: Any, region: Region) -> NDArray[Any]:
    """The part of one page, its samples last."""
    top, left, height, width = region
    keyframe = page.keyframe
    samples = keyframe.samplesperpixel
    planes = samples if keyframe.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
    tile_height, tile_width = (
        (keyframe.tilelength, keyframe.tilewidth) if keyframe.is_tiled else (keyframe.rowsperstrip, keyframe.imagewidth)
    )
    across, down = ceil(keyframe.imagewidth / tile_width), ceil(keyframe.imagelength / tile_height)
    part = np.empty((height, width, samples), keyframe.dtype)
    for row in range(top // tile_height, ceil((top + height) / tile_height)):
        for column in range(left // tile_width, ceil((left + width) / tile_width)):
            for plane in range(planes):
                tile = _read_segment(file, page, (plane * down + row) * across + column)
                first_row, first_column = row * tile_height - top, column * tile_width - left
                target = part[
                    max(0, first_row) : first_row + tile_height, max(0, first_column) : first_column + tile_width
                ]
                source = tile[max(0, -first_row) :, max(0, -first_column) :]
                covered = source[: target.shape[0], : target.shape[1]]
                target[..., plane : plane + covered.shape[2]] = covered
    return part


def _read_segment(file: Any, page: Any, index: int) -> NDArray[Any]:
    """One strip or tile (H, W, C) as stored, of which what lies beyond the image's border is cut off."""
    file.filehandle.seek(page.dataoffsets[index])
    encoded = file.filehandle.read(page.databytecounts[index])
    decoded, _, shape = page.keyframe.decode(encoded, index, jpegtables=page.keyframe.jpegtables)
    tile: NDArray[Any] = decoded[0, : shape[1], : shape[2]]
    return tile
