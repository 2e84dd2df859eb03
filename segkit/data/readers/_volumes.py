"""Volumes: files of many slices, opened once and kept for the slices that are asked for next."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._base import SLICE_SUFFIX, Raster, check_size, decoding, reader_name
from segkit.errors import UnreadableFileError
from segkit.registry import Registry

KEPT_BYTES = 2**29
"""Most bytes of opened volumes that a process keeps; the last one opened is kept whatever its size."""

KEPT_FILES = 1024
"""Most volumes that are kept, those that are not in memory but mapped included."""

_Key = tuple[Path, int, int]
_opened: dict[_Key, Volume] = {}  # in the order in which they were last asked for
_lock = Lock()


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume lie.

    Attributes:
        shape: number of voxels along each of the three axes.
        spacing: distance between the centres of voxels along each axis in mm, where the file states it.
        affine: (4, 4), from voxel indices to mm to the right, front and top of the patient (NIfTI's convention), where
            the file states it.
        plane: spacing of the rows and columns of slices along the last axis, where only that is stated.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] | None = None
    affine: NDArray[np.float64] | None = None
    plane: tuple[float, float] | None = None

    def axis(self, asked: int | None = None) -> int:
        """The axis to read slices along: the one asked for, else that of the largest spacing, else the last."""
        if asked is not None:
            return asked
        if self.spacing is None or max(self.spacing) <= 1.01 * self.spacing[2]:  # headers round to five digits or so
            return 2
        return self.spacing.index(max(self.spacing))

    def slice_spacing(self, axis: int) -> tuple[float, float] | None:
        """The spacing of the rows and columns of a slice."""
        if self.spacing is None:
            return self.plane if axis == 2 else None
        rows, columns = (self.spacing[other] for other in range(3) if other != axis)
        return rows, columns


@dataclass(frozen=True, eq=False)
class Volume:
    """A file of many slices.

    Attributes:
        path: the file, for messages.
        grid: where its voxels lie.
        values: (I, J, K, C) as stored, or what is indexed like such an array and read from the file then.
        slope: what stored values are multiplied by.
        intercept: what is added afterwards.
        palette: (P, 3) uint8 colours of the values, where they are palette indices.
        lossy: the file format may have altered the values.
    """

    path: Path
    grid: Grid
    values: NDArray[Any]
    slope: float = 1.0
    intercept: float = 0.0
    palette: NDArray[np.uint8] | None = None
    lossy: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        return self.grid.shape

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Millimetres between voxels along each axis."""
        return self.grid.spacing

    @property
    def affine(self) -> NDArray[np.float64] | None:
        """From voxel indices to millimetres, see `Grid`."""
        return self.grid.affine

    def slice(self, axis: int, position: int) -> NDArray[Any]:
        """The true values (H, W, C) of one slice: rows and columns are the other two axes in their order.

        Values that are scaled, and those of double precision, are float32.
        """
        stored = np.asarray(self.values[(slice(None),) * axis + (position,)])
        if (self.slope, self.intercept) != (1.0, 0.0):
            return (stored.astype(np.float64) * self.slope + self.intercept).astype(np.float32)
        return np.array(stored, np.float32 if stored.dtype == np.float64 else stored.dtype.newbyteorder("="))

    def raster(self, path: Path, axis: int, position: int, mirrored: Collection[int] = ()) -> Raster:
        """One slice as the image called `path`; along the axes `mirrored` voxels are counted from the last one on."""
        place = self.shape[axis] - 1 - position if axis in mirrored else position
        steps = tuple(slice(None, None, -1 if other in mirrored else 1) for other in range(3) if other != axis)
        return Raster(
            path=path,
            pixels=np.ascontiguousarray(self.slice(axis, place)[steps]),
            palette=self.palette,
            lossy=self.lossy,
            spacing=self.grid.slice_spacing(axis),
        )


@dataclass(frozen=True)
class VolumeReader:
    """How files of one suffix are opened that may hold volumes.

    Attributes:
        grid: reads the head of a file; None where it holds one image.
        open: reads the file, whether it holds many slices or one.
        pages: reads the head likewise of a file whose pages are channels unless told otherwise, as if they were slices;
            None where there are no such pages, or no such files.
    """

    grid: Callable[[Path], Grid | None]
    open: Callable[[Path], Volume]
    pages: Callable[[Path], Grid | None] = lambda _path: None


VOLUME_READERS: Registry[VolumeReader] = Registry("volume suffix", "segkit.data.readers")


def slice_path(
    file: Path, axis: int, position: int, shape: tuple[int, int, int], mirrored: Collection[int] = ()
) -> Path:
    """The path of one slice: `FILE/AXIS/POSITION.slice`, or `FILE/AXIS-MIRRORED/POSITION.slice` as `Volume.raster`
    reads it.
    """
    turned = "".join(("-" if mirrored else "", *map(str, sorted(mirrored))))
    return file / f"{axis}{turned}" / f"{slice_name(position, shape[axis])}{SLICE_SUFFIX}"


def slice_name(position: int, count: int) -> str:
    """The position of a slice among so many, in digits that sort."""
    return f"{position:0{max(3, len(str(count - 1)))}}"


def read_grid(file: Path) -> Grid | None:
    """Where the voxels of a volume lie, from the head of its file; None where the file holds one image.

    Raises `UnreadableFileError` when the file cannot be read.
    """
    return _read_head(file, lambda reader: reader.grid)


def read_pages(file: Path) -> Grid | None:
    """The grid of pages that are the channels of one image, as if they were slices; None where there are none.

    Raises `UnreadableFileError` when the file cannot be read.
    """
    return _read_head(file, lambda reader: reader.pages)


def _read_head(file: Path, how: Callable[[VolumeReader], Callable[[Path], Grid | None]]) -> Grid | None:
    name = reader_name(file)
    if name not in VOLUME_READERS:
        return None
    with decoding(file):
        return how(VOLUME_READERS.get(name))(file)


def open_volume(file: Path) -> Volume:
    """The volume in a file, of one slice where it holds one image; the last ones opened are kept, see `KEPT_BYTES`.

    Raises `UnreadableFileError` when the file cannot be read.
    """
    name = reader_name(file)
    if name not in VOLUME_READERS:
        allowed = ", ".join(sorted(VOLUME_READERS.names()))
        raise UnreadableFileError(file, f"suffix {file.suffix!r} is none of volumes: {allowed}")
    with _lock, decoding(file):  # threads that ask for the first slice together open the file once
        state = file.stat()
        key = file, state.st_size, state.st_mtime_ns
        if key in _opened:
            _opened[key] = _opened.pop(key)
        else:
            _opened[key] = VOLUME_READERS.get(name).open(file)
            _close_oldest()
        return _opened[key]


def read_single(path: Path, reader: VolumeReader) -> Raster:
    """The one image of a file; raises `UnreadableFileError` where it holds several slices."""
    grid = reader.grid(path)
    if grid is not None:
        shape, first = " x ".join(map(str, grid.shape)), slice_path(path, 2, 0, grid.shape)
        raise UnreadableFileError(path, f"a volume of {shape}; name one of its slices, for example {first}")
    volume = reader.open(path)
    axis = next(axis for axis in (2, 1, 0) if volume.shape[axis] == 1)
    return volume.raster(path, axis, 0)


def check_grid(path: Path, shape: tuple[int, int, int]) -> None:
    """Refuse a volume without voxels or with slices that are too large; raises `UnreadableFileError`."""
    if min(shape) < 1:
        raise UnreadableFileError(path, f"it states {' x '.join(map(str, shape))} voxels: it is empty")
    for axis in range(3):
        height, width = (shape[other] for other in range(3) if other != axis)
        check_size(path, height, width)


def _close_oldest() -> None:
    """Let go of the volumes that were asked for longest ago, until the others are few and small enough to keep."""
    held = sum(map(_bytes_in_memory, _opened.values()))
    while len(_opened) > 1 and (held > KEPT_BYTES or len(_opened) > KEPT_FILES):
        held -= _bytes_in_memory(_opened.pop(next(iter(_opened))))


def _bytes_in_memory(volume: Volume) -> int:
    return volume.values.nbytes if type(volume.values) is np.ndarray else 0
