"""Masks of volumes as files: NIfTI in the geometry of the image, or a TIFF stack. No torch."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from segkit.data.readers._base import medical_extra_missing, suffix_of
from segkit.data.volumes import Grid
from segkit.ops.files import write_atomically

TIFF_SUFFIXES = (".tif", ".tiff")


def write_volume(path: Path, mask: NDArray[np.uint8 | np.uint16], grid: Grid, like: Path) -> None:
    """Write class ids (I, J, K), in the format that the suffix names: `.nii`, `.nii.gz` or `.tif`.

    Nothing of the image but its geometry is taken over: no name, no date, no description.

    Args:
        path: of the mask.
        mask: in the order of the image's voxels.
        grid: of the image.
        like: the image; from a NIfTI file both of its transforms come with their codes, so that programs that prefer
            one of them see image and mask alike.

    Raises:
        OutputError: it cannot be written.
        UnreadableFileError: nibabel is not installed.
    """
    if suffix_of(path) in TIFF_SUFFIXES:
        content = _tiff(mask, grid)
    else:
        content = _nifti(path, mask, grid, like)
        content = gzip.compress(content, mtime=0) if suffix_of(path) == ".nii.gz" else content
    write_atomically(path, content)


def _nifti(path: Path, mask: NDArray[Any], grid: Grid, like: Path) -> bytes:
    try:
        import nibabel
    except ImportError:
        raise medical_extra_missing(path, "nibabel") from None
    affine = np.diag([*(grid.spacing or (1.0, 1.0, 1.0)), 1.0]) if grid.affine is None else grid.affine
    image = nibabel.Nifti1Image(mask, affine)
    image.header.set_xyzt_units("mm")
    if suffix_of(like) in (".nii", ".nii.gz"):
        source = nibabel.load(like)
        image = nibabel.Nifti1Image(mask, source.affine)
        image.header.set_xyzt_units(source.header.get_xyzt_units()[0])
        image.header.set_zooms(source.header.get_zooms()[:3])
        image.set_qform(*source.get_qform(coded=True), update_affine=False)
        image.set_sform(*source.get_sform(coded=True), update_affine=False)
    written: bytes = image.to_bytes()
    return written


def _tiff(mask: NDArray[Any], grid: Grid) -> bytes:
    """One page per step of the last axis."""
    content = io.BytesIO()
    spacing = grid.slice_spacing(2)
    stated = (
        {} if spacing is None else {"resolution": (10 / spacing[1], 10 / spacing[0]), "resolutionunit": "CENTIMETER"}
    )
    pages = np.moveaxis(mask, 2, 0)
    tifffile.imwrite(content, pages, photometric="minisblack", compression="zlib", metadata={"axes": "ZYX"}, **stated)
    return content.getvalue()
