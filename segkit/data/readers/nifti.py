"""NIfTI: volumes and single slices, values scaled as the header says, affine and spacing kept."""

from __future__ import annotations

import logging
from math import isfinite, prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.readers._base import MAX_CHANNELS, READERS, Raster, medical_extra_missing, suffix_of
from segkit.data.readers._volumes import VOLUME_READERS, Grid, Volume, VolumeReader, check_grid, read_single
from segkit.errors import UnreadableFileError

MAX_BYTES = 2**32
"""Most bytes of a compressed volume, which is unpacked in memory; one that is not compressed is read slice by slice."""

_MOST_DEFLATED = 1032
"""Deflate makes no more than this many bytes of one (zlib's documentation): more is a damaged header."""

_MILLIMETRES = {"meter": 1000.0, "mm": 1.0, "micron": 0.001, "unknown": 1.0}
"""Of one unit of length; files that state none mean millimetres."""


def read_nifti(path: Path) -> Raster:
    """The image of a NIfTI file of one slice; raises `UnreadableFileError` for a volume, whose slices are read."""
    return read_single(path, _READER)


def read_nifti_grid(path: Path) -> Grid | None:
    """The grid of a volume, None where the file holds one slice."""
    grid = _grid(path, _load(path))
    return None if 1 in grid.shape else grid


def open_nifti(path: Path) -> Volume:
    """Open a NIfTI file: unpacked in memory where it is compressed, else read slice by slice.

    A fourth axis of at most 16 steps holds channels, as do colours.
    """
    image = _load(path)
    grid = _grid(path, image)
    channels = _channels(path, image)
    _check_length(path, image)
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    values = image.dataobj.get_unscaled()
    if values.dtype.names is not None:  # colours, stored as records of R, G, B
        names = values.dtype.names
        values = np.stack([values[name] for name in names], axis=-1)
    values = values.reshape(*grid.shape, channels)
    return Volume(path, grid, values, float(slope), float(intercept))


_READER = VolumeReader(read_nifti_grid, open_nifti)
for _suffix in (".nii", ".nii.gz"):
    READERS.register(_suffix)(read_nifti)
    VOLUME_READERS.register(_suffix)(_READER)


def _load(path: Path) -> Any:
    try:
        import nibabel
        from nibabel import imageglobals
        from nibabel.filebasedimages import ImageFileError
        from nibabel.spatialimages import HeaderDataError
    except ImportError:
        raise medical_extra_missing(path, "nibabel") from None
    imageglobals.logger.setLevel(logging.CRITICAL)  # it prints how it mends headers, without the file's name
    try:
        return nibabel.load(path)
    except (ImageFileError, HeaderDataError):
        raise UnreadableFileError(path, "it is no NIfTI file, or damaged; copy or export it again") from None


def _grid(path: Path, image: Any) -> Grid:
    shape = (*image.shape[:3], 1, 1)[:3]
    check_grid(path, shape)
    unit = _MILLIMETRES.get(image.header.get_xyzt_units()[0], 1.0)
    rows, columns, depth = (float(zoom) * unit for zoom in (*image.header.get_zooms()[:3], 1.0, 1.0)[:3])
    affine = _affine(image)
    if affine is not None:
        affine[:3] *= unit
    spacing = rows, columns, depth
    stated = all(isfinite(one) and one > 0 for one in spacing)
    return Grid(shape, spacing if stated else None, affine)


def _affine(image: Any) -> NDArray[np.float64] | None:
    """From voxels to the file's unit, None where it states none: nibabel then puts the middle voxel at 0."""
    if not (image.header["qform_code"] or image.header["sform_code"]):
        return None
    affine = np.array(image.affine, np.float64)
    return affine if np.isfinite(affine).all() and np.linalg.det(affine) else None


def _channels(path: Path, image: Any) -> int:
    channels = prod(image.shape[3:]) * max(1, len(image.get_data_dtype().names or ()))
    if not 1 <= channels <= MAX_CHANNELS:
        raise UnreadableFileError(
            path, f"{channels} volumes or channels, at most {MAX_CHANNELS} are read; save each volume as its own file"
        )
    return channels


def _check_length(path: Path, image: Any) -> None:
    """Before memory is taken for what a damaged header states."""
    stated = prod(image.shape) * image.get_data_dtype().itemsize
    length = path.stat().st_size
    if suffix_of(path) == ".nii":
        possible = length - image.dataobj.offset
    else:
        possible = length * _MOST_DEFLATED
        if stated > MAX_BYTES:
            raise UnreadableFileError(
                path, f"it states {stated:,} bytes, above {MAX_BYTES / 2**30:g} GiB; unpack it with gunzip"
            )
    if stated > possible:
        raise UnreadableFileError(path, f"it states {stated:,} bytes and is cut short; copy or save it again")
