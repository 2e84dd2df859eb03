"""What a reader gives: the pixels of one file as stored, and what is needed to understand them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import SegkitError, UnreadableFileError
from segkit.ops.blocks import blocks
from segkit.registry import Registry

MAX_CHANNELS = 16
"""Most channels of an image; a file with more is a stack of images."""

MAX_PIXELS = 2**29
"""Largest image that is read, 23,170 x 23,170 pixels: a small file that claims more is a mistake or an attack."""

PACKED_SUFFIX = ".idx"
"""Suffix of an image in a file of many, which is named as if the file were a folder: `FILE/POSITION.idx`."""

SLICE_SUFFIX = ".slice"
"""Suffix of a slice of a volume, which is named likewise: `FILE/AXIS/POSITION.slice`."""

STEPS_INSIDE = {PACKED_SUFFIX: 1, SLICE_SUFFIX: 2}
"""Suffix of a path that leads into a file -> number of its parts that lie inside."""

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
"""Suffixes of DICOM files; many have none, or a number that looks like one, and are known by their mark."""

_COMPRESSED_NIFTI = ".nii.gz"


def file_on_disk(path: Path) -> Path:
    """The file that holds an image: the path itself, or the file of many images or slices the path leads into."""
    for _ in range(STEPS_INSIDE.get(path.suffix, 0)):
        path = path.parent
    return path


def cut_suffix(name: str) -> tuple[str, str]:
    """Name and suffix of a path in text, of which `.nii.gz` is one: a `Path` for each of ten thousand would be slow."""
    is_nifti = name[-len(_COMPRESSED_NIFTI) :].lower() == _COMPRESSED_NIFTI
    dot = len(name) - len(_COMPRESSED_NIFTI) if is_nifti else name.rfind(".")
    return (name[:dot], name[dot:]) if dot > name.rfind("/") else (name, "")


def suffix_of(path: Path) -> str:
    """The suffix in lower case, of which `.nii.gz` is one."""
    return cut_suffix(path.name)[1].lower()


def reader_name(path: Path) -> str:
    """The suffix by which a file's reader is registered: its own, or DICOM's where it has none of a reader."""
    suffix = suffix_of(path)
    return suffix if suffix in READERS or not _has_dicom_mark(path) else DICOM_SUFFIXES[0]


def _has_dicom_mark(path: Path) -> bool:
    """Whether a file starts as DICOM files do: 128 bytes of anything, then DICM (PS3.10, section 7.1)."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a file into `UnreadableFileError`: a damaged one can make it raise anything."""
    try:
        yield
    except SegkitError:
        raise
    except FileNotFoundError:
        reason = "a link that leads nowhere" if path.is_symlink() else "no such file"
        raise UnreadableFileError(path, reason) from None
    except IsADirectoryError:
        raise UnreadableFileError(path, "it is a folder") from None
    except PermissionError:
        raise UnreadableFileError(path, "no permission to read it") from None
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableFileError(path, f"damaged or cut short ({reason}); copy or save it again") from None


def medical_extra_missing(path: Path, package: str) -> UnreadableFileError:
    """The error for a medical file where the package that reads it is not installed."""
    return UnreadableFileError(
        path, f"{package} is not installed; install it with: pip install -c constraints.txt -e '.[medical]'"
    )


@dataclass(frozen=True)
class Raster:
    """One decoded file.

    Attributes:
        path: the file, for messages.
        pixels: (H, W, C) stored values, any dtype, EXIF orientation applied; palette indices where there is a palette.
        palette: (P, 3) uint8 colours of the palette indices.
        alpha: the last channel is opacity.
        orientation: the EXIF orientation 1 to 8 that was applied.
        lossy: the file format may have altered the values.
        spacing: distance between the centres of neighbouring rows and columns in mm, where the file states it.
        frames: of an animation, whose first is in `pixels`.
    """

    path: Path
    pixels: NDArray[Any]
    palette: NDArray[np.uint8] | None = None
    alpha: bool = False
    orientation: int = 1
    lossy: bool = False
    spacing: tuple[float, float] | None = None
    frames: int = 1

    @property
    def kind(self) -> Literal["ids", "palette", "rgb"]:
        """How a mask stores its classes: as numbers, as palette indices, or as colours."""
        if self.palette is not None:
            return "palette"
        return "ids" if self._mask_channels().shape[2] == 1 else "rgb"

    def image(self) -> NDArray[Any]:
        """The image (H, W, C), uint8, uint16 or float32.

        A palette becomes RGB; an opacity channel that is opaque everywhere is dropped.
        Raises `UnreadableFileError` where a value does not fit float32 exactly enough.
        """
        if self.palette is not None:
            colors = np.empty((*self.pixels.shape[:2], 3), np.uint8)
            for row, indices in zip(colors, self.pixels[..., 0], strict=True):  # not all: indices take 8 bytes each
                row[...] = self.palette[indices]
            return colors
        return self._as_image_dtype(self._without_opaque_alpha())

    def mask(self) -> NDArray[Any]:
        """The stored mask values (H, W): ids, palette indices, or colours packed as `r << 16 | g << 8 | b`.

        Gray stored as colour stays a colour here: only the whole data set tells whether gray values are ids.
        Raises `UnreadableFileError` where there is no one whole number per pixel: transparent pixels, fractions,
        negative numbers, other counts of channels.
        """
        values = self._as_integers(self._mask_channels())
        if values.shape[2] == 1:
            return values[..., 0]
        if values.max(initial=0) > 255:
            raise self._unreadable("a mask of 16-bit colours; save ids in one channel, or 8-bit colours")
        packed: NDArray[np.int32] = values[..., 0].astype(np.int32)
        for channel in (1, 2):  # not all at once, which takes four bytes for each value
            packed <<= 8
            np.bitwise_or(packed, values[..., channel], out=packed, dtype=np.int32, casting="unsafe")
        return packed

    def mask_blocks(self) -> Iterator[NDArray[Any]]:
        """What `mask` gives, some of its pixels at a time; raises likewise."""
        return (replace(self, pixels=block, alpha=False).mask() for block in blocks(self._mask_channels()))

    def _mask_channels(self) -> NDArray[Any]:
        """1 channel of ids, or 3 of colours."""
        pixels = self._without_opaque_alpha()
        if self.alpha and pixels.shape == self.pixels.shape:
            raise self._unreadable("a mask with transparent pixels; save it without transparency")
        if pixels.shape[2] not in (1, 3):
            raise self._unreadable(
                f"a mask has 1 channel of ids or 3 of colours, this file has {pixels.shape[2]}; save one of them, or, "
                "where they are slices, image and mask as stacks of as many pages each"
            )
        return pixels

    def _without_opaque_alpha(self) -> NDArray[Any]:
        if not self.alpha:
            return self.pixels
        opaque = np.iinfo(self.pixels.dtype).max if np.issubdtype(self.pixels.dtype, np.integer) else 1
        is_opaque = all((block == opaque).all() for block in blocks(self.pixels[..., -1]))
        return self.pixels[..., :-1] if is_opaque else self.pixels

    def _as_image_dtype(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if pixels.dtype in (np.uint8, np.uint16, np.float32):
            return pixels
        if pixels.dtype == np.bool_:
            return pixels.astype(np.uint8) * np.uint8(255)
        self._refuse_complex(pixels)
        if np.issubdtype(pixels.dtype, np.integer) and max(abs(int(pixels.max())), abs(int(pixels.min()))) > 2**24:
            raise self._unreadable(
                f"{pixels.dtype} values above 2^24, which float32 cannot hold; scale them to 16 bits"
            )
        return pixels.astype(np.float32)

    def _as_integers(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if pixels.dtype == np.bool_:
            return pixels.astype(np.uint8)
        self._refuse_complex(pixels)
        if np.issubdtype(pixels.dtype, np.floating):
            if not (pixels == np.trunc(pixels)).all() or np.abs(pixels).max() > 2**31 - 1:
                raise self._unreadable("mask values that are no whole numbers; a mask holds class ids 0, 1, 2, ...")
            pixels = pixels.astype(np.int32)
        if pixels.min(initial=0) < 0:
            raise self._unreadable(f"the negative mask value {pixels.min()}; a mask holds class ids 0, 1, 2, ...")
        return pixels

    def _refuse_complex(self, pixels: NDArray[Any]) -> None:
        if np.issubdtype(pixels.dtype, np.complexfloating):
            raise self._unreadable("complex values; save their magnitude, or one part, as float32")

    def _unreadable(self, reason: str) -> UnreadableFileError:
        return UnreadableFileError(self.path, reason)


Reader = Callable[[Path], Raster]
"""Decodes one file completely; raises `UnreadableFileError`, or whatever its decoder raises on damaged files."""

READERS: Registry[Reader] = Registry("image suffix", "segkit.data.readers")


def check_size(path: Path, height: int, width: int) -> None:
    """Refuse an image of more than `MAX_PIXELS` before anything is decoded; raises `UnreadableFileError`."""
    if height * width > MAX_PIXELS:
        raise UnreadableFileError(
            path, f"{width} x {height} pixels are above the limit of {MAX_PIXELS:,} pixels; cut it into tiles"
        )


def orient(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels (H, W, C) upright by the EXIF orientation 1 to 8 (EXIF 2.32, tag 0x0112)."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
