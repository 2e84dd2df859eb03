"""What to predict among the files a user names: images of one file or several, volumes, DICOM series. No torch."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from segkit.data.image_io import read_channels
from segkit.data.readers._base import DICOM_SUFFIXES, Raster, cut_suffix, file_on_disk, reader_name
from segkit.data.volumes import Grid, read_grid, read_pages, series_files, slice_paths
from segkit.errors import UnreadableFileError
from segkit.inference.image_parts import OpenImage, open_image

Convert = Literal["gray", "rgb"] | None
"""What a model has every image converted to."""

_CHANNEL = re.compile(r"(?P<name>.+)_(?P<channel>\d{4})")
"""nnU-Net's names of the channels of one image: `case_0000.png`, `case_0001.png`."""


@dataclass(frozen=True)
class ImageItem:
    """An image to predict.

    Attributes:
        files: one, or one per channel.
        name: what results are called after.
    """

    files: tuple[Path, ...]
    name: Path

    def raster(self) -> Raster:
        """The image with what its file states; raises `UnreadableFileError`."""
        return read_channels(self.files)

    def image(self) -> NDArray[Any]:
        """The image (H, W, C); raises `UnreadableFileError`."""
        return self.raster().image()

    def open(self) -> AbstractContextManager[OpenImage]:
        """The image, of which parts are read where it is large; raises `UnreadableFileError`."""
        return open_image(self.files)


@dataclass(frozen=True, eq=False)
class VolumeItem:
    """A volume to predict, slice by slice.

    Attributes:
        path: its file, of the first channel; of a DICOM series the first file.
        name: what results are called after: the file, or the folder of a series.
        slices: in order.
        grid: where the voxels lie.
        axis: along which the slices follow one another.
        paged: whether the slices are pages that would be channels for a model of so many.
    """

    path: Path
    name: Path
    slices: tuple[ImageItem, ...]
    grid: Grid
    axis: int
    paged: bool = False


Item = ImageItem | VolumeItem


def find_items(
    files: Sequence[Path], channels: int = 1, axis: int | None = None, convert: Convert = None
) -> list[Item]:
    """The images and volumes that files hold, in their order.

    Files that are the channels of one image, by nnU-Net's names and as many as the model takes, are one item, and so
    are two or more files of one DICOM series. Pages of a TIFF file that may be channels or slices are slices where the
    model takes gray images and none of so many channels.

    Args:
        files: images and volumes, each once.
        channels: of the model.
        axis: along which the model's training volumes were read; None: that of the largest spacing, else the last.
        convert: what the model has every image converted to.
    """
    taken_counts = _taken_counts(channels, convert)
    series, groups = _series_among(files), _channel_groups(files, channels)
    taken = {image.name for volume in series.values() for image in volume.slices}
    taken.update(file for group in groups.values() for file in group)
    found: list[Item] = []
    for file in files:
        if file in series:
            found.append(series[file])
        elif file in groups:
            found.append(_item(groups[file], _without_channel(file), axis, taken_counts))
        elif file not in taken:
            found.append(_item((file,), file, axis, taken_counts))
    return found


def single_images(items: Iterable[Item]) -> list[ImageItem]:
    """The same with every volume as its slices."""
    return [image for item in items for image in ((item,) if isinstance(item, ImageItem) else item.slices)]


def _taken_counts(channels: int, convert: Convert) -> set[int]:
    """Numbers of channels of the images that a model takes."""
    return {channels} | ({1, 3} if convert is not None else set())


def _item(files: tuple[Path, ...], name: Path, axis: int | None, taken_counts: set[int]) -> Item:
    """The image or the volume in files of one channel each; what cannot be read is an image, which will say so."""
    if file_on_disk(files[0]) != files[0]:
        return ImageItem(files, name)
    try:
        stated = read_grid(files[0])
        grid = stated or _grid_of_pages(files, taken_counts)
        if grid is None:
            return ImageItem(files, name)
        along = grid.axis(axis)
        channels = [slice_paths(file, along, grid if stated is None else None) for file in files]
        slices = tuple(ImageItem(paths, paths[0]) for paths in zip(*channels, strict=True))
    except (UnreadableFileError, ValueError):  # damaged, or channels of different length
        return ImageItem(files, name)
    return VolumeItem(files[0], name, slices, grid, along, paged=stated is None)


def _grid_of_pages(files: tuple[Path, ...], taken_counts: set[int]) -> Grid | None:
    """The grid of a file whose pages are slices, as the model takes one of them as an image and not all of them."""
    pages = read_pages(files[0]) if len(files) == 1 and 1 in taken_counts else None
    return None if pages is None or pages.shape[2] in taken_counts else pages


def _channel_groups(files: Sequence[Path], channels: int) -> dict[Path, tuple[Path, ...]]:
    """First file -> the files of all channels, for a model of several channels."""
    if channels < 2:
        return {}
    by_name: defaultdict[tuple[Path, str, str], dict[int, Path]] = defaultdict(dict)
    for file in files:
        stem, suffix = cut_suffix(file.name)
        match = _CHANNEL.fullmatch(stem)
        if match:
            by_name[file.parent, match["name"], suffix][int(match["channel"])] = file
    complete = (found for found in by_name.values() if found.keys() == set(range(channels)))
    return {found[0]: tuple(found[channel] for channel in range(channels)) for found in complete}


def _without_channel(file: Path) -> Path:
    stem, suffix = cut_suffix(file.name)
    return file.with_name(stem[: -len("_0000")] + suffix)


def _series_among(files: Sequence[Path]) -> dict[Path, VolumeItem]:
    """First file by order of the input -> the series it belongs to, where all files of a series are among the files."""
    by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
    for file in files:
        if file.is_file() and reader_name(file) in DICOM_SUFFIXES:
            by_folder[file.parent].append(file)
    return dict(pair for folder, inside in by_folder.items() for pair in _series_of(folder, inside))


def _series_of(folder: Path, inside: Sequence[Path]) -> Iterator[tuple[Path, VolumeItem]]:
    several = [one for one in series_files(folder) if len(one.files) > 1 and set(one.files) <= set(inside)]
    for one in several:
        first = next(file for file in inside if file in one.files)
        slices = tuple(ImageItem((file,), file) for file in one.files)
        yield first, VolumeItem(first, folder if len(several) == 1 else first, slices, one.grid, axis=2)
