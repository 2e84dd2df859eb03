"""Volumes become one record per slice, whatever format lists them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from segkit.data.findings import Finding, shown
from segkit.data.readers._alignment import mirrored_axes, misalignment
from segkit.data.readers._dicom_series import Series, series_files
from segkit.data.readers._volumes import Grid, Volume, open_volume, read_grid, read_pages, slice_name, slice_path
from segkit.data.rules import finding
from segkit.errors import UnreadableFileError
from segkit.ops.words import counted
from segkit.structures import Record

__all__ = [
    "Expanded",
    "Grid",
    "Series",
    "Volume",
    "expand_volumes",
    "open_volume",
    "read_grid",
    "read_pages",
    "series_files",
    "slice_paths",
]

_FEWEST_PAGES = 4
"""Pages of a mask that are slices and no channels: two may be the classes of two channels, three are colours."""


@dataclass(frozen=True)
class Expanded:
    """Records of images alone.

    Attributes:
        records: as given, those of volumes replaced by one per slice.
        notes: along which axis volumes are read.
        findings: volumes that do not fit their masks: those of another shape, which are left out, and those that lie
            elsewhere by what the files state.
    """

    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def expand_volumes(records: Sequence[Record], axis: int | None, root: Path) -> Expanded:
    """Put one record per slice in the place of each record of a volume.

    A slice is called `ID/017` and belongs to the group of its volume, which is the volume's id where it has none. Only
    the heads of files are read. Pages of TIFF files that may be channels or slices are slices where the masks have as
    many as the image, at least `_FEWEST_PAGES` unless one of the files says that it is a stack. An image that cannot be
    read stays as it is, with the first slice of its mask, so that the scan says so of the image alone; so do all slices
    of a mask that cannot be read.

    Args:
        records: as listed; image, channels and mask of a volume are volumes of one shape on the same voxels. Where a
            file counts them from the other end along some axes, by its affine, it is read as the image is.
        axis: along which volumes are read; None: the axis of the largest spacing, else the last.
        root: of the data set, for the names of files.
    """
    expanded: list[Record] = []
    mismatched: list[Path] = []
    elsewhere: dict[Path, str] = {}
    axes: list[int] = []
    mirrored: dict[Path, tuple[int, ...]] = {}
    proven = 0
    for record in records:
        stated = _grids(record)
        grids = _with_pages(record, stated)
        proven += grids is not stated
        grid = grids.get(record.image)
        other = [file for file, found in grids.items() if _shape(found) != _shape(grid)]
        if not any(grids.values()):
            expanded.append(record)
        elif record.image not in grids:
            first = next(_slices(record, next(filter(None, grids.values())), 2, {}))
            expanded.append(replace(record, mask=first.mask))
        elif grid is None or other:
            mismatched += other
        else:
            elsewhere |= _elsewhere(grid, grids)
            turned = _mirrored(grid, grids)
            mirrored |= turned
            axes.append(grid.axis(axis))
            expanded += _slices(record, grid, axes[-1], turned)
    slices = len(expanded) - (len(records) - len(axes))
    notes = (*_notes(axes, slices, proven), *_notes_on_mirrored(mirrored, root))
    return Expanded(tuple(expanded), notes, _findings(mismatched, elsewhere, root))


def slice_paths(file: Path, axis: int | None = None, grid: Grid | None = None) -> list[Path]:
    """The slices of a volume as paths, or the file itself where it holds one image.

    Args:
        file: of a volume or an image.
        axis: along which the slices follow one another; None: that of the largest spacing, else the last.
        grid: of the file where it is known, `read_pages` for pages that are slices.

    Raises:
        UnreadableFileError: the file cannot be read.
    """
    grid = grid or read_grid(file)
    if grid is None:
        return [file]
    along = grid.axis(axis)
    return [slice_path(file, along, position, grid.shape) for position in range(grid.shape[along])]


def _grids(record: Record) -> dict[Path, Grid | None]:
    """The grid of each file of a record, None for those of one image; files that cannot be read are left out."""
    masks = () if record.mask is None else record.mask_files
    grids = {}
    for file in dict.fromkeys((*record.image_files, *masks)):
        try:
            grids[file] = read_grid(file)
        except UnreadableFileError:
            continue
    return grids


def _with_pages(record: Record, grids: dict[Path, Grid | None]) -> dict[Path, Grid | None]:
    """The grids with pages as slices where all files have as many and prove that they are, else those given."""
    if record.mask is None or all(grids.values()) or not grids.keys() >= {record.image, *record.mask_files}:
        return grids
    image = grids[record.image] or _pages(record.image)
    if image is None or (image.shape[2] < _FEWEST_PAGES and not any(grids.values())):
        return grids
    found = {file: grid or _pages(file) for file, grid in grids.items()}
    return found if all(_shape(grid) == image.shape for grid in found.values()) else grids


def _pages(file: Path) -> Grid | None:
    try:
        return read_pages(file)
    except UnreadableFileError:  # pages too large for slices: whoever reads the file says so
        return None


def _shape(grid: Grid | None) -> tuple[int, int, int] | None:
    return None if grid is None else grid.shape


def _elsewhere(grid: Grid, grids: Mapping[Path, Grid | None]) -> dict[Path, str]:
    """The files that lie on other voxels than the image, with what differs."""
    compared = {file: misalignment(grid, other) for file, other in grids.items() if other is not None}
    return {file: different for file, different in compared.items() if different is not None}


def _mirrored(grid: Grid, grids: Mapping[Path, Grid | None]) -> dict[Path, tuple[int, ...]]:
    """The files that count voxels from the other end than the image, with the axes along which they do."""
    found = {file: mirrored_axes(grid, other) for file, other in grids.items() if other is not None}
    return {file: axes for file, axes in found.items() if axes}


def _slices(record: Record, grid: Grid, axis: int, mirrored: Mapping[Path, tuple[int, ...]]) -> Iterator[Record]:
    for position in range(grid.shape[axis]):
        at = partial(_slice_of, axis=axis, position=position, grid=grid, mirrored=mirrored)
        mask = record.mask
        yield replace(
            record,
            id=f"{record.id}/{slice_name(position, grid.shape[axis])}",
            image=at(record.image),
            mask={name: at(file) for name, file in mask.items()} if isinstance(mask, Mapping) else mask and at(mask),
            group=record.unit,
            channel_files=tuple(map(at, record.channel_files)),
        )


def _slice_of(file: Path, axis: int, position: int, grid: Grid, mirrored: Mapping[Path, tuple[int, ...]]) -> Path:
    return slice_path(file, axis, position, grid.shape, mirrored.get(file, ()))


def _notes_on_mirrored(mirrored: Mapping[Path, tuple[int, ...]], root: Path) -> Iterator[str]:
    if mirrored:
        first, axes = next(iter(mirrored.items()))
        along = f"{'axis' if len(axes) == 1 else 'axes'} {' and '.join(map(str, axes))}"
        volumes = f"{counted(len(mirrored), 'volume')} counted from the other end than the image, by the affines"
        yield f"turned to lie on the image: {volumes}, for example {shown(first, root)} along {along}"


def _notes(axes: Sequence[int], slices: int, proven: int) -> tuple[str, ...]:
    if not axes:
        return ()
    named = " and ".join(map(str, sorted(set(axes))))
    along = f"axis {named}" if len(set(axes)) == 1 else f"axes {named}"
    pages = f"the pages of {counted(proven, 'image')} are slices, not channels: the masks have as many"
    notes = (f"read slice by slice along {along} ({counted(len(axes), 'volume')}, {counted(slices, 'slice')})",)
    return (*notes, pages) if proven else notes


def _findings(mismatched: Sequence[Path], elsewhere: Mapping[Path, str], root: Path) -> tuple[Finding, ...]:
    found = []
    if mismatched:
        message = f"{counted(len(mismatched), 'volume')} of another shape than the image; export masks and channels at "
        found.append(finding("size-mismatch", f"{message}its shape", [shown(file, root) for file in mismatched]))
    if elsewhere:
        first, different = next(iter(elsewhere.items()))
        message = (
            f"{counted(len(elsewhere), 'volume')} on other voxels than the image, by the affine or spacing in the "
            f"files: {shown(first, root)} {different}; resample masks and channels to the grid of the image (labels by "
            "nearest neighbour), or, where only the header is wrong, write the image's affine into it"
        )
        found.append(finding("geometry-mismatch", message, [shown(file, root) for file in elsewhere]))
    return tuple(found)
