"""MNIST's idx files, gzipped or not: one file holds all images of a part.

An image in such a file is named as if the file were a folder: `train-images-idx3-ubyte.gz/00123.idx`.
"""

from __future__ import annotations

import gzip
import re
import zlib
from math import prod
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._base import PACKED_SUFFIX, READERS, Raster, check_size
from segkit.errors import UnreadableFileError

MAX_UNPACKED = 2**30
"""Most bytes a gzipped file may hold, and all that are kept in memory; one that is not gzipped is read image by image.
"""

MAX_IMAGES = 10_000_000
"""Most images or labels of one file, far above any set of this format: each becomes an object in memory."""

_KEPT = 4
"""Most files kept open, or unpacked."""

_UNSIGNED_BYTE = 8
_IMAGES = re.compile(r"(?P<part>train|t10k|test|val|validation)-images[-.]idx3-ubyte(\.gz)?", re.IGNORECASE)
_LABELS = re.compile(r"(?P<part>train|t10k|test|val|validation)-labels[-.]idx1-ubyte(\.gz)?", re.IGNORECASE)
_WHATS = {3: "images", 1: "labels"}
_Key = tuple[Path, int, int, int]
_opened: dict[_Key, NDArray[np.uint8]] = {}  # in the order in which they were last asked for
_lock = Lock()


@READERS.register(PACKED_SUFFIX)
def read_idx_image(path: Path) -> Raster:
    """One image `FILE/POSITION.idx` of an idx file."""
    if path.parent.is_dir():
        raise UnreadableFileError(
            path, "an image of an idx file is named FILE/POSITION.idx, for example t10k-images-idx3-ubyte.gz/00000.idx"
        )
    images = open_idx(path.parent, 3)
    if not path.stem.isdecimal() or int(path.stem) >= len(images):
        raise UnreadableFileError(path, f"the file holds {len(images):,} images, 0 to {len(images) - 1}")
    return Raster(path, np.array(images[int(path.stem)])[..., None])


def open_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """The values of an idx file of unsigned bytes: images (N, H, W) or labels (N,).

    The last files opened are kept: gzipped ones in memory, `MAX_UNPACKED` bytes of them in all, the others mapped.
    Raises `UnreadableFileError` when the file cannot be opened or is not what its header says.
    """
    with _lock:  # threads that ask for the first image together unpack the file once
        try:
            state = file.stat()
            key = file, dimensions, state.st_size, state.st_mtime_ns
            values = _opened.pop(key) if key in _opened else _open(file, dimensions, state.st_size)
        except OSError as error:
            raise UnreadableFileError(file, f"it cannot be opened ({error.strerror or error})") from None
        _opened[key] = values
        _close_oldest()
        return values


def idx_files(folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of images and those of labels in a folder by their part (`train`, `t10k`, ...), unpacked ones first.

    Folders of such names, into which some programs unpack, are left out.
    """
    names = sorted((path.name for path in folder.iterdir()), reverse=True)  # "x.gz" comes before "x", which stays
    images, labels = (
        {
            match["part"].lower(): folder / name
            for name in names
            if (match := pattern.fullmatch(name)) and (folder / name).is_file()
        }
        for pattern in (_IMAGES, _LABELS)
    )
    return images, labels


def is_idx_images(path: Path) -> bool:
    """Whether a path leads to a file that is called like an idx file of images."""
    return _IMAGES.fullmatch(path.name) is not None and path.is_file()


def idx_images(file: Path) -> list[Path]:
    """The images of an idx file as paths; raises what `open_idx` does."""
    count = len(open_idx(file, 3))
    digits = max(5, len(str(count - 1)))
    return [file / f"{position:0{digits}}{PACKED_SUFFIX}" for position in range(count)]


def _close_oldest() -> None:
    """Let go of the files that were asked for longest ago, until the others are few and small enough to keep."""
    while len(_opened) > _KEPT or _bytes_in_memory() > MAX_UNPACKED:
        del _opened[next(iter(_opened))]


def _bytes_in_memory() -> int:
    return sum(values.nbytes for values in _opened.values() if not isinstance(values, np.memmap))


def _open(file: Path, dimensions: int, size: int) -> NDArray[np.uint8]:
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
    if shape[0] > MAX_IMAGES:
        raise UnreadableFileError(
            file, f"it states {shape[0]:,} {_WHATS[dimensions]}, above the limit of {MAX_IMAGES:,}; cut it into parts"
        )
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
