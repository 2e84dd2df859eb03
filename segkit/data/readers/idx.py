"""MNIST's idx files, gzipped or not: one file holds all images of a part.

An image in such a file is named as if the file were a folder: `train-images-idx3-ubyte.gz/00123.idx`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._base import PACKED_SUFFIX, READERS, Raster, check_size
from segkit.errors import UnreadableFileError

MAX_UNPACKED = 2**30
"""Most bytes a gzipped file may hold, which are kept in memory; a file that is not gzipped is read image by image."""

_UNSIGNED_BYTE = 8
_IMAGES = re.compile(r"(?P<part>train|t10k|test|val|validation)-images[-.]idx3-ubyte(\.gz)?", re.IGNORECASE)
_LABELS = re.compile(r"(?P<part>train|t10k|test|val|validation)-labels[-.]idx1-ubyte(\.gz)?", re.IGNORECASE)
_WHATS = {3: "images", 1: "labels"}
_lock = Lock()


@READERS.register(PACKED_SUFFIX)
def read_idx_image(path: Path) -> Raster:
    """One image `FILE/POSITION.idx` of an idx file."""
    try:
        images = open_idx(path.parent, 3)
    except IsADirectoryError:
        raise UnreadableFileError(
            path, "an image of an idx file is named FILE/POSITION.idx, for example t10k-images-idx3-ubyte.gz/00000.idx"
        ) from None
    if not path.stem.isdecimal() or int(path.stem) >= len(images):
        raise UnreadableFileError(path, f"the file holds {len(images):,} images, 0 to {len(images) - 1}")
    return Raster(path, np.array(images[int(path.stem)])[..., None])


def open_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """The values of an idx file of unsigned bytes: images (N, H, W) or labels (N,).

    The last files opened are kept: a gzipped one in memory, another one mapped.
    Raises `UnreadableFileError` when the file is not what its header says, and `OSError` when it cannot be opened.
    """
    state = file.stat()
    with _lock:  # threads that ask for the first image together unpack the file once
        return _open(file, dimensions, state.st_size, state.st_mtime_ns)


def idx_files(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of images and those of labels in a folder by their part (`train`, `t10k`, ...), unpacked ones first."""
    names = sorted((path.name for path in folder.iterdir()), reverse=True)  # "x.gz" comes before "x", which stays
    images, labels = (
        {match["part"].lower(): folder / name for name in names if (match := pattern.fullmatch(name))}
        for pattern in (_IMAGES, _LABELS)
    )
    return images, labels


def is_idx_images(path: Path) -> bool:
    """Whether a file is called like an idx file of images."""
    return _IMAGES.fullmatch(path.name) is not None


def idx_images(file: Path) -> list[Path]:
    """The images of an idx file as paths; raises what `open_idx` does."""
    count = len(open_idx(file, 3))
    digits = max(5, len(str(count - 1)))
    return [file / f"{position:0{digits}}{PACKED_SUFFIX}" for position in range(count)]


@lru_cache(maxsize=4)
def _open(file: Path, dimensions: int, size: int, changed: int) -> NDArray[np.uint8]:  # noqa: ARG001, for the cache
    if file.suffix.lower() != ".gz":
        with file.open("rb") as stream:
            shape = _read_header(file, stream, dimensions)
        _check_length(file, shape, size - _header_length(dimensions))
        return np.memmap(file, np.uint8, "r", _header_length(dimensions), shape)
    try:
        with gzip.open(file) as stream:
            shape = _read_header(file, stream, dimensions)
            if prod(shape) > MAX_UNPACKED:
                limit = f"{MAX_UNPACKED / 2**30:g} GiB"
                raise UnreadableFileError(
                    file, f"it states {prod(shape):,} bytes, above {limit}; unpack it with gunzip"
                )
            values = stream.read(prod(shape) + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UnreadableFileError(file, f"damaged or cut short ({error}); copy or save it again") from None
    _check_length(file, shape, len(values))
    return np.frombuffer(values, np.uint8).reshape(shape)


def _header_length(dimensions: int) -> int:
    return 4 * (1 + dimensions)


def _read_header(file: Path, stream: BinaryIO | gzip.GzipFile, dimensions: int) -> tuple[int, ...]:
    """The lengths of the dimensions: after four bytes that name type and number of dimensions, big-endian."""
    header = stream.read(_header_length(dimensions))
    mark = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    if header[:4] != mark:
        raise UnreadableFileError(
            file, f"it starts with {header[:4].hex(' ')}; an idx file of {_WHATS[dimensions]} with {mark.hex(' ')}"
        )
    if len(header) < _header_length(dimensions):
        raise UnreadableFileError(file, f"it ends in its header, after {len(header)} bytes; copy or save it again")
    shape = tuple(int(length) for length in np.frombuffer(header, ">u4", offset=4))
    if 0 in shape:
        raise UnreadableFileError(file, f"it states {' x '.join(map(str, shape))} {_WHATS[dimensions]}: it is empty")
    if dimensions == 3:
        check_size(file, shape[1], shape[2])
    return shape


def _check_length(file: Path, shape: tuple[int, ...], length: int) -> None:
    if length != prod(shape):
        found = f"only {length:,}" if length < prod(shape) else "more"
        stated = " x ".join(map(str, shape))
        raise UnreadableFileError(
            file, f"it states {stated} = {prod(shape):,} bytes and holds {found}; copy or save it again"
        )
