"""Folders of DICOM images beside folders of masks: single images, or a folder per patient with the slices of a scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

import numpy as np

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._dicom_example import write_slice
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import (
    IMAGE_WORDS,
    MASK_WORDS,
    SPLITS,
    find_class_file,
    finding_of_files,
    names_below,
    subfolders,
)
from segkit.data.formats._ids import unique_ids
from segkit.data.formats._pairing import EQUAL_NAMES, find_rule
from segkit.data.image_io import IMAGE_SUFFIXES, write_image
from segkit.data.readers._base import DICOM_SUFFIXES, cut_suffix, reader_name
from segkit.data.readers._volumes import Grid, read_grid, slice_path
from segkit.data.volumes import series_files
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder
from segkit.structures import Record, TaskName

DICOM_WORDS = (*IMAGE_WORDS, "dicom", "dicoms", "dcm")
"""Names of folders of DICOM images."""

_LOOKED_AT = 8
"""So many files of a folder tell whether it holds DICOM images."""


@dataclass(frozen=True)
class _Part:
    """The records of one folder of images with its folder of masks, and what found no partner."""

    records: tuple[Record, ...]
    missing: tuple[Path, ...] = ()
    orphans: tuple[Path, ...] = ()
    elsewhere: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


@FORMATS.register("dicom-folder")
class DicomFolder:
    """`images/*.dcm + masks/*`, or `images/PATIENT/*.dcm` with masks of equal names or `masks/PATIENT.nii.gz`.

    DICOM files may lack a suffix. Masks are PNG, TIFF, NIfTI or DICOM, one per slice, or one volume per scan that lies
    on the grid of its slices, as those do which segkit predicts. Slices of one folder, or of one scan where no folders
    part them, are one group.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether the first files in a folder of images, beside a folder of masks, are DICOM files."""
        return root.is_dir() and any(_holds_dicom(images) for images, _, _ in _folders(root))

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records; raises `DataError` when no image has a mask."""
        folders = _folders(root) if root.is_dir() else []
        parts = [_list_part(images, masks, split) for images, masks, split in folders]
        records, id_notes = unique_ids([record for part in parts for record in part.records])
        if not records:
            raise DataError(
                f"{root} has no DICOM image with a mask of its name; expected images/NAME.dcm and masks/NAME.png, "
                "or images/PATIENT/*.dcm and masks/PATIENT.nii.gz"
            )
        assigned = apply_split_files(root, records)
        listed = {
            "missing-mask": (
                "images without a mask of their name ({n}): add the masks, or take the images out",
                [file for part in parts for file in part.missing],
            ),
            "orphan-mask": (
                "masks without an image ({n}) are left out",
                [file for part in parts for file in part.orphans],
            ),
            "size-mismatch": (
                "mask volumes that do not lie on the grid of their scan ({n}): save them on it, "
                "or convert the scan to NIfTI too",
                [file for part in parts for file in part.elsewhere],
            ),
        }
        return Listing(
            root=root,
            layout="DICOM folder",
            task="segment",
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(root),
            notes=tuple(dict.fromkeys((*(note for part in parts for note in part.notes), *id_notes, *assigned.notes))),
            findings=(
                *(
                    found
                    for code, (message, files) in listed.items()
                    for found in finding_of_files(code, message, files, root)
                ),
                *assigned.findings,
            ),
        )

    def example(self, root: Path) -> None:
        """Write three patients of two slices each, with masks as PNG."""
        for number, (image, mask) in enumerate(scenes(6)):
            patient, slice_ = f"patient{1 + number // 2}", number % 2
            write_slice(root / "images" / patient / f"{slice_:03d}.dcm", image, 1 + number // 2, slice_)
            write_image(make_folder(root / "masks" / patient) / f"{slice_:03d}.png", mask)


def _folders(root: Path) -> list[tuple[Path, Path, str | None]]:
    """Folder of images, folder of masks and split: in the folder itself, or in those of its splits."""
    splits = [(folder, SPLITS[folder.name.lower()]) for folder in subfolders(root) if folder.name.lower() in SPLITS]
    found = []
    for folder, split in [(root, None), *splits]:
        by_name = {inner.name.lower(): inner for inner in subfolders(folder)}
        images = next((by_name[word] for word in DICOM_WORDS if word in by_name), None)
        masks = next((by_name[word] for word in MASK_WORDS if word in by_name), None)
        if images is not None and masks is not None:
            found.append((images, masks, split))
    return found


def _holds_dicom(folder: Path) -> bool:
    return any(reader_name(folder / name) in DICOM_SUFFIXES for name in islice(names_below(folder), _LOOKED_AT))


def _files(folder: Path, images: bool) -> dict[str, Path]:
    """Path below the folder without suffix -> DICOM file, or also any other image where masks are looked for."""
    files: dict[str, Path] = {}
    for name in sorted(names_below(folder)):
        stem, suffix = cut_suffix(name)
        if suffix.lower() in DICOM_SUFFIXES or (not images and suffix.lower() in IMAGE_SUFFIXES):
            files.setdefault(stem, folder / name)
        elif suffix.lower() not in IMAGE_SUFFIXES and reader_name(folder / name) in DICOM_SUFFIXES:
            files.setdefault(name, folder / name)  # its name has no suffix, though it may have dots
    return files


def _list_part(images: Path, masks: Path, split: str | None) -> _Part:
    found, targets = _files(images, images=True), _files(masks, images=False)
    by_folder: defaultdict[str, dict[str, Path]] = defaultdict(dict)
    for name, file in found.items():
        by_folder[name.rpartition("/")[0]][name] = file
    scans = {folder: targets[folder] for folder in by_folder if folder in targets}
    single = {name: file for name, file in found.items() if name.rpartition("/")[0] not in scans}
    others = {name: file for name, file in targets.items() if name not in scans}
    rule = find_rule(single, others)
    pairs = {name: others[mask] for name, mask in rule.pairs(single, others).items()}
    elsewhere: list[Path] = []
    for folder, volume in scans.items():
        slices = _slices(images / folder, volume)
        if slices:
            single |= by_folder[folder]
        else:
            elsewhere.append(volume)
        pairs |= {name: slices[file] for name, file in by_folder[folder].items() if file in slices}
    groups = {name: name.split("/")[0] for name in pairs if "/" in name}
    if not groups:
        groups = _scans(images, {found[name]: name for name in pairs})
    return _Part(
        records=tuple(
            Record(name, found[name], mask, group=groups.get(name), split=split) for name, mask in pairs.items()
        ),
        missing=tuple(file for name, file in single.items() if name not in pairs),
        orphans=tuple(file for file in others.values() if file not in set(pairs.values())),
        elsewhere=tuple(elsewhere),
        notes=() if rule == EQUAL_NAMES else (str(rule),),
    )


def _slices(folder: Path, volume: Path) -> dict[Path, Path]:
    """File of a scan's slice -> slice of its mask volume; none where they do not lie on one grid."""
    try:
        grid = read_grid(volume)
    except UnreadableFileError:
        return {}
    for series in series_files(folder):
        if grid is not None and _is_same(series.grid, grid):
            return {file: slice_path(volume, 2, position, grid.shape) for position, file in enumerate(series.files)}
    return {}


def _is_same(one: Grid, other: Grid) -> bool:
    if one.shape != other.shape:
        return False
    return one.affine is None or other.affine is None or bool(np.allclose(one.affine, other.affine, atol=0.01))


def _scans(folder: Path, names: Mapping[Path, str]) -> dict[str, str]:
    """Name -> the name of the first slice of its scan, where files of several scans lie in one folder."""
    scans = [[names[file] for file in series.files if file in names] for series in series_files(folder)]
    several = len(scans) > 1 and any(len(scan) > 1 for scan in scans)
    return {name: scan[0] for scan in scans for name in scan} if several else {}
