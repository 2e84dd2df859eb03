"""TIFF: integers and floating point, any number of channels (interleaved, planar or one per page), and stacks."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from math import ceil, prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segkit.data.readers._base import MAX_CHANNELS, READERS, Raster, check_size, orient
from segkit.data.readers._tiff_head import has_one_page, is_whole_chain
from segkit.data.readers._tiff_spacing import read_spacing
from segkit.data.readers._volumes import (
    KEPT_BYTES,
    VOLUME_READERS,
    Grid,
    Volume,
    VolumeReader,
    check_grid,
    read_single,
)
from segkit.errors import UnreadableFileError

MAX_BYTES = 2**32
"""Most bytes of one image, or of a stack that can only be decoded as a whole."""

_BUFFER = 2**24
"""Bytes of strips or tiles that are read at once, which lie in memory decoded as well before they find their place."""

# What tifffile logs of damaged files would be printed where nobody set up logging, beside the error that says it.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

TIFF_SUFFIXES = (".tif", ".tiff")

ORIENTATION = 274
"""Tag of the EXIF orientation."""

_STACK_AXES = "ZT"  # depth and time
_CHANNEL_AXES = "SC"  # samples and channels
_PAGE_AXES = "IQ"  # tifffile's names for pages in a row, and for an axis without a name


def read_tiff(path: Path) -> Raster:
    """Decode the one full-size image of a TIFF file; raises `UnreadableFileError` for a stack, whose slices are read.

    Pages of one size are the channels of an image up to `MAX_CHANNELS` of them, and a stack above.
    """
    with tifffile.TiffFile(path) as file:
        series = main_series(path, file)
        layout = read_layout(path, series)
        if layout.stack is not None:
            return read_single(path, _READER)
        page = series.keyframe
        orientation = page.tags.valueof(ORIENTATION, 1)
        spacing = read_spacing(file, page)
        if spacing is not None and orientation >= 5:
            spacing = spacing[1], spacing[0], spacing[2]
        return Raster(
            path=path,
            pixels=orient(layout.to_channels_last(_decode(path, series)), orientation),
            palette=read_palette(page),
            alpha=has_alpha(page),
            orientation=orientation,
            lossy=_is_lossy(page),
            spacing=None if spacing is None else (spacing[0], spacing[1]),
        )


def read_tiff_grid(path: Path) -> Grid | None:
    """The grid of a stack, None where the file holds one image."""
    if has_one_page(path):
        return None
    with tifffile.TiffFile(path) as file:
        series = main_series(path, file)
        layout = read_layout(path, series)
        return None if layout.stack is None else _grid(path, file, series, layout)


def read_tiff_pages(path: Path) -> Grid | None:
    """The grid of the pages that `read_tiff` takes for channels, were they slices; None where there are none."""
    if has_one_page(path):
        return None
    with tifffile.TiffFile(path) as file:
        series = main_series(path, file)
        layout = read_layout(path, series)
        as_slices = layout.with_pages_as_slices(series.axes)
        return None if as_slices == layout else _grid(path, file, series, as_slices)


def open_tiff(path: Path) -> Volume:
    """Open a stack: mapped where it is not compressed, else decoded, or read page by page where it is large.

    The axes are rows, columns and pages: who asks for a slice takes pages for slices, however few they are.
    """
    with tifffile.TiffFile(path) as file:
        series = main_series(path, file)
        layout = read_layout(path, series).with_pages_as_slices(series.axes)
        page = series.keyframe
        grid = Grid((*layout.size(series), 1)) if layout.stack is None else _grid(path, file, series, layout)
        values: Any
        if layout.stack == 0 and series.dataoffset is not None:
            values = layout.to_channels_last(map_stored(path, file, series))
        elif layout.stack == 0 and series.nbytes > KEPT_BYTES and not series.is_truncated:
            values = _Pages(path, layout, grid.shape[2])
        else:
            values = layout.to_channels_last(_decode(path, series))
    return Volume(path, grid, values, palette=read_palette(page), lossy=_is_lossy(page))


_READER = VolumeReader(read_tiff_grid, open_tiff, read_tiff_pages)
for _suffix in TIFF_SUFFIXES:
    READERS.register(_suffix)(read_tiff)
    VOLUME_READERS.register(_suffix)(_READER)


@dataclass(frozen=True)
class Layout:
    """What the axes of a stored array mean: which counts rows, columns, slices and channels; None: there is none."""

    rows: int
    columns: int
    stack: int | None = None
    channels: int | None = None

    def size(self, series: Any) -> tuple[int, int]:
        """(H, W) of an image or slice."""
        return series.shape[self.rows], series.shape[self.columns]

    def to_channels_last(self, stored: NDArray[Any]) -> NDArray[Any]:
        """(H, W, C), or (H, W, N, C) of a stack."""
        order = [axis for axis in (self.rows, self.columns, self.stack, self.channels) if axis is not None]
        turned = stored.transpose(order)
        return turned if self.channels is not None else turned[..., None]

    def with_pages_as_slices(self, axes: str) -> Layout:
        """The same with pages of unknown meaning as slices, which else are channels; those that axes call so stay."""
        if self.channels is None or self.stack is not None or axes[self.channels] in _CHANNEL_AXES:
            return self
        return replace(self, stack=self.channels, channels=None)

    def of_slice(self) -> Layout:
        """The layout of one slice of a stack along the first axis."""
        return Layout(self.rows - 1, self.columns - 1, None, None if self.channels is None else self.channels - 1)


class _Pages:
    """A large stack, indexed like an array (H, W, N, C), of which a slice is read when it is asked for."""

    def __init__(self, path: Path, layout: Layout, count: int) -> None:
        self._path, self._layout, self._count = path, layout, count

    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]:
        with tifffile.TiffFile(self._path) as file:
            if len(index) == 3:
                return self._slice(file, index[2])
            return np.stack([self._slice(file, position)[index] for position in range(self._count)], axis=1)

    def _slice(self, file: Any, position: int) -> NDArray[Any]:
        series = main_series(self._path, file)
        pages = len(series.pages) // self._count
        stored = file.asarray(key=range(position * pages, (position + 1) * pages), series=series)
        return self._layout.of_slice().to_channels_last(stored.reshape(series.shape[1:]))


def main_series(path: Path, file: Any) -> Any:
    """The full-size images of a file, without previews; raises `UnreadableFileError` where there are several kinds."""
    if not is_whole_chain(path):
        raise UnreadableFileError(path, "damaged or cut short: the list of its pages breaks off; copy or save it again")
    found = [series for series in file.series if not series.keyframe.is_reduced]
    if len(found) != 1:
        raise UnreadableFileError(path, f"it holds {len(found)} images of different sizes; save each as its own file")
    stated = (file.imagej_metadata or {}).get("images", 1) if file.is_imagej else 1
    if found[0].size < stated * prod(found[0].keyframe.shape):
        raise UnreadableFileError(path, f"damaged or cut short: it states {stated} pages; copy or save it again")
    return found[0]


def map_stored(path: Path, file: Any, series: Any) -> NDArray[Any]:
    """The array of a series that lies in the file as it is, see `TiffPageSeries.dataoffset`; nothing is read yet."""
    return np.memmap(path, series.dtype.newbyteorder(file.byteorder), "r", series.dataoffset, series.shape)


def has_alpha(page: Any) -> bool:
    """Whether the last channel is opacity."""
    return bool(page.extrasamples) and page.extrasamples[-1] in (1, 2)


def read_layout(path: Path, series: Any) -> Layout:
    """What the axes of a series mean; raises `UnreadableFileError` where they make neither an image nor a stack."""
    axes, shape = str(series.axes), series.shape
    if len(shape) == 3 and axes[0] == "Q" and shape[-1] <= MAX_CHANNELS < shape[0]:
        return Layout(0, 1, None, 2)  # an array (H, W, C) written without saying so is stored as H pages of (W, C)
    others = [axis for axis in range(len(shape)) if axes[axis] not in "YX"]
    channels = [axis for axis in others if axes[axis] in _CHANNEL_AXES]
    stacks = [axis for axis in others if axes[axis] in _STACK_AXES]
    pages = [axis for axis in others if axes[axis] in _PAGE_AXES]
    (channels if not channels and not stacks and all(shape[axis] <= MAX_CHANNELS for axis in pages) else stacks).extend(
        pages
    )
    if len(shape) < 2 or len(channels) > 1 or len(stacks) > 1 or len(others) != len(channels) + len(stacks):
        raise UnreadableFileError(
            path, f"axes {axes} and shape {shape} are neither an image nor a stack; save it as one"
        )
    if channels and shape[channels[0]] > MAX_CHANNELS:
        raise UnreadableFileError(path, f"{shape[channels[0]]} channels, at most {MAX_CHANNELS} are read")
    return Layout(axes.index("Y"), axes.index("X"), next(iter(stacks), None), next(iter(channels), None))


def _grid(path: Path, file: Any, series: Any, layout: Layout) -> Grid:
    assert layout.stack is not None
    shape = (*layout.size(series), series.shape[layout.stack])
    check_grid(path, shape)
    spacing = read_spacing(file, series.keyframe)
    if spacing is None:
        return Grid(shape)
    rows, columns, depth = spacing
    return Grid(shape, plane=(rows, columns)) if depth is None else Grid(shape, (rows, columns, depth))


def _decode(path: Path, series: Any) -> NDArray[Any]:
    """The stored array of a series, after what its head states was found possible."""
    page = series.keyframe
    check_size(path, page.imagelength, page.imagewidth)
    if series.nbytes > MAX_BYTES:
        raise UnreadableFileError(path, f"it states {series.nbytes:,} bytes, above {MAX_BYTES / 2**30:g} GiB")
    check_segments(path, series)
    decoded: NDArray[Any] = series.asarray(buffersize=_BUFFER)
    return decoded


def check_segments(path: Path, series: Any) -> None:
    """Refuse missing data, which would be read as zeros: an interrupted writer leaves strips without any."""
    pages = [page for page in series.pages if page is not None]
    counts = [count for page in pages for count in page.databytecounts]
    if 0 in counts:
        raise UnreadableFileError(
            path, f"{counts.count(0)} of {len(counts)} strips hold no data: writing was interrupted; write it again"
        )
    expected = segment_count(series.keyframe)
    if any(min(len(page.databytecounts), len(page.dataoffsets)) < expected for page in pages):
        raise UnreadableFileError(path, f"damaged: fewer than the {expected} strips or tiles that make up its size")


def segment_count(page: Any) -> int:
    """Number of strips or tiles of one page."""
    height, width = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    planes = page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
    return ceil(page.imagelength / height) * ceil(page.imagewidth / width) * planes


def _is_lossy(page: Any) -> bool:
    return page.compression in (6, 7)


def read_palette(page: Any) -> NDArray[np.uint8] | None:
    """The colours of a page's indices, None where it holds none."""
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return None
    colors: NDArray[np.uint16] = page.colormap
    return (colors.T >> 8).astype(np.uint8)
