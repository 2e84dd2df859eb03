"""Parts of large TIFF images, of which the strips or tiles they touch are decoded and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segkit.data.readers._base import Raster, decoding
from segkit.data.readers._tiff_spacing import read_spacing
from segkit.data.readers.tiff import (
    ORIENTATION,
    Layout,
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


class TiffImage:
    """The image of an open TIFF file, whose parts are read when they are asked for: `image[2:40, 5:9]`.

    `open` makes one; to be closed, or used in a `with` statement. One part is read at a time.

    Attributes:
        path: the file.
        shape: (H, W, C) of the image, as `Raster.image` gives it.
        dtype: of its values.
        spacing: distance between rows and between columns in mm, where the file states it.
    """

    def __init__(self, path: Path, file: Any, series: Any, layout: Layout) -> None:
        self.path = path
        self._file, self._series, self._layout = file, series, layout
        self._palette = read_palette(series.keyframe)
        self._decoded: dict[tuple[int, int], NDArray[Any]] = {}
        corner = self.raster((0, 0, 1, 1)).image()
        self.shape: tuple[int, int, int] = (*layout.size(series), corner.shape[2])
        self.dtype: np.dtype[Any] = corner.dtype
        spacing = read_spacing(file, series.keyframe)
        self.spacing = None if spacing is None else (spacing[0], spacing[1])

    @classmethod
    def open(cls, path: Path) -> TiffImage | None:
        """The image of a file; None where only the whole image tells its values.

        That is so where it is turned, or has an opacity that counts only if it is used anywhere. Raises what
        `read_tiff` does.
        """
        with ExitStack() as opened:
            file = opened.enter_context(tifffile.TiffFile(path))
            series = main_series(path, file)
            layout, page = read_layout(path, series), series.keyframe
            if layout.stack is not None or has_alpha(page) or page.tags.valueof(ORIENTATION, 1) != 1:
                return None
            if series.dataoffset is None:
                if layout.size(series) != (page.imagelength, page.imagewidth):
                    return None  # pages that are the rows of an image
                check_segments(path, series)
            image = cls(path, file, series, layout)
            opened.pop_all()
            return image

    def held_bytes(self, height: int, width: int) -> int:
        """Bytes at most that are held, besides what is given, while parts of so many pixels are read."""
        page = self._series.keyframe
        pixel = page.samplesperpixel * page.dtype.itemsize * len(self._series.pages)
        if self._series.dataoffset is not None:  # the rows are mapped
            return min(height, self.shape[0]) * self.shape[1] * pixel
        touched = [
            min(ceil(length / segment) + 1, ceil(whole / segment)) * segment
            for length, segment, whole in zip((height, width), _segment_size(page), self.shape[:2], strict=True)
        ]
        return touched[0] * touched[1] * pixel

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        """The values (h, w, C) of some rows and columns inside the image; raises `UnreadableFileError`."""
        spans = [range(*along.indices(length)) for along, length in zip(part, self.shape[:2], strict=True)]
        with decoding(self.path):
            return self.raster((spans[0].start, spans[1].start, len(spans[0]), len(spans[1]))).image()

    def raster(self, region: Region) -> Raster:
        """A part of the image, cut off at its border; raises `UnreadableFileError` where it lies outside."""
        series, layout = self._series, self._layout
        region = inside(self.path, region, layout.size(series))
        top, left, height, width = region
        if series.dataoffset is not None:
            stored = layout.to_channels_last(map_stored(self.path, self._file, series))
            pixels = np.array(stored[top : top + height, left : left + width], series.dtype)
        else:
            before, self._decoded = self._decoded, {}
            parts = [
                _read_page(page, region, partial(self._segment, number, before))
                for number, page in enumerate(series.pages)
            ]
            pixels = np.concatenate(parts, axis=2)
        return Raster(self.path, pixels, self._palette)

    def _segment(self, number: int, before: Mapping[tuple[int, int], NDArray[Any]], index: int) -> NDArray[Any]:
        """A strip or tile of the page of this number; what the part before touched too is not decoded again."""
        place = number, index
        if place not in self._decoded:
            kept = before.get(place)
            page = self._series.pages[number]
            self._decoded[place] = _read_segment(self._file, page, index) if kept is None else kept
        return self._decoded[place]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> TiffImage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_tiff_region(path: Path, region: Region) -> Raster | None:
    """A part of the image, cut off at its border; None where `TiffImage.open` gives none.

    Raises what `read_tiff` does, and `UnreadableFileError` for a part that lies outside the image.
    """
    image = TiffImage.open(path)
    if image is None:
        return None
    with image:
        return image.raster(region)


def _segment_size(page: Any) -> tuple[int, int]:
    """Height and width of the strips or tiles of a page."""
    return (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)


def _read_page(page: Any, region: Region, segment: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
    """The part of one page, its samples last; `segment` gives its strips or tiles."""
    top, left, height, width = region
    keyframe = page.keyframe
    samples = keyframe.samplesperpixel
    planes = samples if keyframe.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
    tile_height, tile_width = _segment_size(keyframe)
    across, down = ceil(keyframe.imagewidth / tile_width), ceil(keyframe.imagelength / tile_height)
    part = np.empty((height, width, samples), keyframe.dtype)
    for row in range(top // tile_height, ceil((top + height) / tile_height)):
        for column in range(left // tile_width, ceil((left + width) / tile_width)):
            for plane in range(planes):
                tile = segment((plane * down + row) * across + column)
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
