"""Slices of volumes, named as if the file were a folder: `volume.nii.gz/2/017.slice`."""

from __future__ import annotations

from pathlib import Path

from segkit.data.readers._base import READERS, SLICE_SUFFIX, Raster, file_on_disk
from segkit.data.readers._volumes import open_volume
from segkit.errors import UnreadableFileError

_AXES = ("0", "1", "2")


@READERS.register(SLICE_SUFFIX)
def read_slice(path: Path) -> Raster:
    """One slice `FILE/AXIS/POSITION.slice` of a volume, or `FILE/AXIS-MIRRORED/POSITION.slice`, see `slice_path`."""
    file, (axis, _, mirrored) = file_on_disk(path), path.parent.name.partition("-")
    if file.is_dir() or axis not in _AXES or not set(mirrored) <= set(_AXES) or not path.stem.isdecimal():
        raise UnreadableFileError(
            path, "a slice is named FILE/AXIS/POSITION.slice, for example volume.nii.gz/2/017.slice"
        )
    volume = open_volume(file)
    count = volume.shape[int(axis)]
    if int(path.stem) >= count:
        raise UnreadableFileError(path, f"the volume has {count} slices along axis {axis}, 0 to {count - 1}")
    return volume.raster(path, int(axis), int(path.stem), [*map(int, mirrored)])
