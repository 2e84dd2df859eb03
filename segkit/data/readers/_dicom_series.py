"""Series: the DICOM files of one folder that are the slices of one scan, in their order in space."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segkit.data.readers._base import DICOM_SUFFIXES, decoding, reader_name
from segkit.data.readers._dicom_geometry import GEOMETRY, make_grid, numbers
from segkit.data.readers._volumes import Grid
from segkit.data.readers.dicom import read_head
from segkit.errors import UnreadableFileError

_ORDER = ["SeriesInstanceUID", "InstanceNumber", "Rows", "Columns", "NumberOfFrames", "SOPClassUID", *GEOMETRY]


@dataclass(frozen=True, eq=False)
class Series:
    """The files of one scan.

    Attributes:
        files: one per slice, sorted by position along the slices' normal, by number where they state no position.
        grid: of the slices stacked along the last axis.
    """

    files: tuple[Path, ...]
    grid: Grid


def series_files(folder: Path) -> list[Series]:
    """The series in a folder, in the order of their first files; sub-folders are not looked into.

    Files belong together that state one series, size and orientation. A file of many frames is a series of its own;
    what is no DICOM image, or cannot be read, is left out.
    """
    slices: defaultdict[tuple[Any, ...], list[_Slice]] = defaultdict(list)
    for file in sorted(folder.iterdir()):
        found = _read_slice(file)
        if found is not None:
            slices[found.key].append(found)
    return [_series(found) for found in slices.values()]


@dataclass(frozen=True)
class _Slice:
    """What the head of one file says of its place."""

    file: Path
    key: tuple[Any, ...]
    size: tuple[int, int]
    frames: int
    number: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel: tuple[float, ...] | None
    between: float | None


def _read_slice(file: Path) -> _Slice | None:
    if file.name.startswith(".") or not file.is_file() or reader_name(file) not in DICOM_SUFFIXES:
        return None
    try:
        with decoding(file):
            head = read_head(file, _ORDER)
            size, frames = (int(head.Rows), int(head.Columns)), int(head.get("NumberOfFrames") or 1)
            orientation = numbers(head.get("ImageOrientationPatient"), 6)
            # Directions that differ in the fourth digit are one: a tenth of a millimetre in a metre.
            turned = None if orientation is None else tuple(np.round(orientation, 3) + 0.0)
            between = numbers([head.get("SpacingBetweenSlices") or head.get("SliceThickness")], 1)
            return _Slice(
                file=file,
                key=(str(head.get("SeriesInstanceUID")), size, turned, file if frames > 1 else None),
                size=size,
                frames=frames,
                number=int(head.get("InstanceNumber") or 0),
                position=numbers(head.get("ImagePositionPatient"), 3),
                orientation=orientation,
                pixel=numbers(head.get("PixelSpacing"), 2) or numbers(head.get("ImagerPixelSpacing"), 2),
                between=between[0] if between else None,
            )
    except UnreadableFileError:
        return None


def _series(slices: list[_Slice]) -> Series:
    first = slices[0]
    positions = [one.position for one in slices if one.position is not None]
    if first.orientation is not None and len(positions) == len(slices):
        normal = np.cross(first.orientation[:3], first.orientation[3:])
        slices = sorted(slices, key=lambda one: (float(np.dot(normal, one.position or ())), one.number))
        positions = [one.position for one in slices if one.position is not None]
    else:
        slices = sorted(slices, key=lambda one: one.number)
        positions = []
    shape = (*first.size, len(slices) if first.frames == 1 else first.frames)
    return Series(
        tuple(one.file for one in slices), make_grid(shape, first.pixel, first.orientation, positions, first.between)
    )
