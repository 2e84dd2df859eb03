"""An image as prediction takes it: whole where it is of ordinary size, else part by part from its file. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import read_channels
from segkit.data.readers._base import decoding, suffix_of
from segkit.data.readers._size import decoded_bytes
from segkit.data.readers._tiff_regions import TiffImage
from segkit.data.readers.tiff import TIFF_SUFFIXES
from segkit.ops.sizes import ImageParts

LARGE = 2**26
"""Pixels of an image, 8,192 x 8,192, above which its mask is written part by part."""


@dataclass(frozen=True)
class OpenImage:
    """An image that is open.

    Attributes:
        values: (H, W, C) stored values: an array, or what reads parts of it.
        spacing: distance between rows and between columns in mm, where its file states it.
    """

    values: ImageParts
    spacing: tuple[float, float] | None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def is_large(self) -> bool:
        """Whether it has more pixels than `LARGE`."""
        return self.size[0] * self.size[1] > LARGE

    def held_bytes(self, height: int, width: int) -> int:
        """Bytes at most that are held, besides what is given, while parts of so many pixels are read."""
        if isinstance(self.values, TiffImage | JoinedChannels):
            return self.values.held_bytes(height, width)
        return self.size[0] * self.size[1] * self.pixel_bytes

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel."""
        return self.values.shape[2] * self.values.dtype.itemsize

    def whole(self) -> NDArray[Any]:
        """All its values."""
        return self.values[:, :]


class JoinedChannels:
    """An image whose channels lie in several files, of which parts are read."""

    def __init__(self, images: Sequence[TiffImage]) -> None:
        self._images = images
        self.shape = (*images[0].shape[:2], sum(image.shape[2] for image in images))
        self.dtype = images[0].dtype

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        return np.concatenate([image[part] for image in self._images], axis=2)

    def held_bytes(self, height: int, width: int) -> int:
        """As `TiffImage.held_bytes`."""
        return sum(image.held_bytes(height, width) for image in self._images)


@contextmanager
def open_image(files: Sequence[Path]) -> Iterator[OpenImage]:
    """An image in one file, or with its channels in several: part by part where it is large and that is possible.

    It is not where a TIFF file is turned or has an opacity, nor for other types of files.
    Raises `UnreadableFileError` as `read_channels` does.
    """
    with ExitStack() as opened:
        parts = [opened.enter_context(image) for image in _parts(files)]
        if not parts:
            raster = read_channels(files)
            yield OpenImage(raster.image(), raster.spacing)
        else:
            yield OpenImage(parts[0] if len(parts) == 1 else JoinedChannels(parts), parts[0].spacing)


def _parts(files: Sequence[Path]) -> list[TiffImage]:
    """The images of files, all of one size and type; none where they cannot be read part by part, or are small."""
    if any(suffix_of(file) not in TIFF_SUFFIXES or decoded_bytes(file) <= LARGE for file in files):
        return []
    images: list[TiffImage] = []
    for file in files:
        with decoding(file):
            image = TiffImage.open(file)
        if image is None:
            break
        images.append(image)
    if len(images) < len(files) or any(_kind(image) != _kind(images[0]) for image in images):
        for image in images:
            image.close()
        return []  # reading all of it says what differs
    return images


def _kind(image: TiffImage) -> tuple[object, ...]:
    return *image.shape[:2], image.dtype
