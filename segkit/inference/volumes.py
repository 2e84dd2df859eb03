"""Volumes among the files to predict: NIfTI, TIFF stacks, DICOM of many frames, and DICOM series. No torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segkit.data.image_io import read_image
from segkit.data.readers._base import DICOM_SUFFIXES, file_on_disk, reader_name
from segkit.data.volumes import Grid, read_grid, series_files, slice_paths
from segkit.errors import UnreadableFileError


@dataclass(frozen=True, eq=False)
class VolumeInput:
    """A volume to predict, slice by slice.

    Attributes:
        path: the file; of a DICOM series its first one.
        name: what results are called after: the file, or the folder of a series.
        slices: readable as images, in order.
        grid: where the voxels lie.
        axis: along which the slices follow one another.
    """

    path: Path
    name: Path
    slices: tuple[Path, ...]
    grid: Grid
    axis: int

    def images(self) -> Iterator[NDArray[Any]]:
        """The slices, one at a time; raises `UnreadableFileError` for one that cannot be read."""
        return map(read_image, self.slices)


def find_volumes(files: Sequence[Path], axis: int | None = None) -> list[Path | VolumeInput]:
    """The files in their order, with every volume and every DICOM series of two files or more as one item.

    Args:
        files: images and volumes, each once.
        axis: along which the model's training volumes were read; None: that of the largest spacing, else the last.
    """
    series = _series_among(files)
    taken = {file for volume in series.values() for file in volume.slices}
    found: list[Path | VolumeInput] = []
    for file in files:
        if file in series:
            found.append(series[file])
        elif file not in taken:
            found.append(_volume_in(file, axis) or file)
    return found


def slices_of(files: Sequence[Path], axis: int | None = None) -> list[Path]:
    """The files in their order, every volume as its slices; the arguments are those of `find_volumes`."""
    items = find_volumes(files, axis)
    return [path for item in items for path in ([item] if isinstance(item, Path) else item.slices)]


def _volume_in(file: Path, axis: int | None) -> VolumeInput | None:
    """The volume in a file; None where it holds one image, or cannot be read, which predicting it will say."""
    if file_on_disk(file) != file:
        return None
    try:
        grid = read_grid(file)
        slices = tuple(slice_paths(file, axis)) if grid is not None else ()
    except UnreadableFileError:
        return None
    return None if grid is None else VolumeInput(file, file, slices, grid, grid.axis(axis))


def _series_among(files: Sequence[Path]) -> dict[Path, VolumeInput]:
    """First file by order of the input -> the series it belongs to, where all files of a series are among the files."""
    by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
    for file in files:
        if file.is_file() and reader_name(file) in DICOM_SUFFIXES:
            by_folder[file.parent].append(file)
    found = {}
    for folder, inside in by_folder.items():
        several = [one for one in series_files(folder) if len(one.files) > 1 and set(one.files) <= set(inside)]
        for one in several:
            first = next(file for file in inside if file in one.files)
            name = folder if len(several) == 1 else first
            found[first] = VolumeInput(first, name, one.files, one.grid, axis=2)
    return found
