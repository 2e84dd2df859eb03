"""TIFF: 8 and 16 bits, floating point, any number of channels, interleaved, planar or one per page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segkit.data.readers._base import MAX_CHANNELS, READERS, Raster, check_size, orient
from segkit.errors import UnreadableFileError

_ORIENTATION = 274
_CHANNEL_AXES = "SCIQ"  # samples, channels, pages, and tifffile's name for an axis without one


@READERS.register(".tif")
@READERS.register(".tiff")
def read_tiff(path: Path) -> Raster:
    """Decode the one full-size image of a TIFF file; stacks over depth or time are refused."""
    with tifffile.TiffFile(path) as file:
        series = [series for series in file.series if not series.keyframe.is_reduced]
        if len(series) != 1:
            raise UnreadableFileError(
                path, f"it holds {len(series)} images of different sizes; save each as its own file"
            )
        page = series[0].keyframe
        channel_axis = _channel_axis(path, series[0].axes, series[0].shape)
        size = [length for axis, length in enumerate(series[0].shape) if axis != channel_axis]
        check_size(path, *size)
        _refuse_gaps(path, series[0])
        pixels = series[0].asarray()
        orientation = page.tags.valueof(_ORIENTATION, 1)
        return Raster(
            path=path,
            pixels=orient(
                pixels[..., None] if channel_axis is None else np.moveaxis(pixels, channel_axis, -1), orientation
            ),
            palette=_palette(page),
            alpha=bool(page.extrasamples) and page.extrasamples[-1] in (1, 2),
            orientation=orientation,
            lossy=page.compression in (6, 7),
        )


def _channel_axis(path: Path, axes: str, shape: tuple[int, ...]) -> int | None:
    """Which axis of the stored array counts channels, None where there is none."""
    if len(shape) == 2:
        return None
    other = [axis for axis in range(len(shape)) if axes[axis] not in "YX"]
    if len(shape) != 3 or len(other) != 1 or axes[other[0]] not in _CHANNEL_AXES:
        raise UnreadableFileError(path, f"a stack with axes {axes} and shape {shape}; save each slice as its own file")
    axis = other[0]
    # An array (H, W, C) written without saying so is stored as H pages of (W, C): the short axis counts channels.
    if axes[axis] == "Q" and shape[-1] <= MAX_CHANNELS < shape[0]:
        axis = 2
    if shape[axis] > MAX_CHANNELS:
        raise UnreadableFileError(
            path,
            f"{shape[axis]} pages or channels, at most {MAX_CHANNELS} are read; save each page as its own file",
        )
    return axis


def _refuse_gaps(path: Path, series: Any) -> None:
    """An interrupted writer leaves strips without data, which would be read as zeros."""
    counts = [count for page in series.pages if page is not None for count in page.databytecounts]
    if 0 in counts:
        raise UnreadableFileError(
            path, f"{counts.count(0)} of {len(counts)} strips hold no data: writing was interrupted; write it again"
        )


def _palette(page: Any) -> NDArray[np.uint8] | None:
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return None
    colors: NDArray[np.uint16] = page.colormap
    return (colors.T >> 8).astype(np.uint8)
