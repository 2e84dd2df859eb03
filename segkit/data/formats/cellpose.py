"""Cellpose's layout: the masks beside the images, with a suffix, and in them the numbers of the cells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._beside import apply_split_files
from segkit.data.formats._examples import scenes
from segkit.data.formats._folders import SPLITS, find_class_file, finding_of_files, subfolders
from segkit.data.formats._ids import duplicate_ids, unique_ids
from segkit.data.image_io import IMAGE_SUFFIXES, write_image
from segkit.data.readers._base import cut_suffix
from segkit.errors import DataError
from segkit.ops.files import make_folder
from segkit.ops.words import counted
from segkit.structures import Record, TaskName

MASK_ENDINGS = ("_masks", "_cp_masks")
"""Of training data, and of the masks that Cellpose writes."""

IMAGE_ENDING = "_img"

_OTHER_ENDINGS = ("_flows", "_cp_output", "_outlines", "_cp_outlines")
"""Of files that Cellpose writes beside and that are no images to learn from."""


@FORMATS.register("cellpose")
class Cellpose:
    """`NAME.tif + NAME_masks.tif` or `NAME_img.tif + NAME_masks.tif` in one folder, or in `train/` and `test/`.

    0 is background, 1, 2, 3, ... are the objects of an image, all of one class.

    Source: C. Stringer et al., Cellpose, Nature Methods 18, 2021; its documentation on training.
    """

    rank: ClassVar[int] = 1

    def recognises(self, root: Path) -> bool:
        """Whether an image has its mask beside it."""
        return root.is_dir() and any(_has_pair(folder) for folder, _ in _folders(root))

    def list(self, root: Path, task: TaskName | None = None) -> Listing:  # noqa: ARG002
        """List the records; raises `DataError` when no image has a mask."""
        parts = [_list_part(folder, split) for folder, split in (_folders(root) if root.is_dir() else [])]
        records, id_notes = unique_ids([record for part in parts for record in part.records])
        if not records:
            raise DataError(f"{root} has no image with a mask beside it; expected NAME.tif and NAME_masks.tif")
        assigned = apply_split_files(root, records, [id_ for part in parts for id_ in part.missing])
        repeated = [file for part in parts for file in part.repeated]
        missing = [file for part in parts for file in part.missing.values()]
        orphans = [file for part in parts for file in part.orphans]
        others = sum(part.others for part in parts)
        said = (f"left out: {counted(others, 'file')} of flows and outlines",) if others else ()
        return Listing(
            root=root,
            layout="Cellpose",
            task="segment",
            records=tuple(sorted(assigned.records, key=lambda record: record.id)),
            class_file=find_class_file(root),
            numbered=True,
            notes=(*said, *id_notes, *assigned.notes),
            findings=(
                *finding_of_files("missing-mask", "images without NAME_masks beside them ({n})", missing, root),
                *finding_of_files("orphan-mask", "masks without an image ({n}) are left out", orphans, root),
                *duplicate_ids(repeated, assigned.records, root),
                *assigned.findings,
            ),
        )

    def example(self, root: Path) -> None:
        """Write four images to train and two to test."""
        for number, (image, numbers) in enumerate(scenes(6)):
            folder = make_folder(root / ("train" if number < 4 else "test"))
            write_image(folder / f"{number:03d}_img.png", image)
            write_image(folder / f"{number:03d}_masks.png", numbers)


@dataclass(frozen=True)
class _Part:
    """What lies in one folder: records, what found no partner, and how many files are neither image nor mask."""

    records: tuple[Record, ...]
    missing: Mapping[str, Path]
    orphans: tuple[Path, ...]
    repeated: tuple[Path, ...]
    others: int


def _folders(root: Path) -> list[tuple[Path, str | None]]:
    """The folder itself, and those in it that are called like a split."""
    splits = [(folder, SPLITS[folder.name.lower()]) for folder in subfolders(root) if folder.name.lower() in SPLITS]
    return [(root, None), *splits]


def _has_pair(folder: Path) -> bool:
    files, _ = _files(folder)
    return any(_mask_of(name, files) for name in files)


def _files(folder: Path) -> tuple[dict[str, Path], tuple[Path, ...]]:
    """The image files in a folder by their name without suffix, and those that have the name of another one."""
    files: dict[str, Path] = {}
    repeated: list[Path] = []
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file())
    for file in names:
        name, suffix = cut_suffix(file)
        if suffix.lower() not in IMAGE_SUFFIXES:
            continue
        if name in files:
            repeated += [files[name], folder / file]
        files.setdefault(name, folder / file)
    return files, tuple(dict.fromkeys(repeated))


def _mask_of(name: str, files: Mapping[str, Path]) -> str | None:
    """The name of the mask that belongs to an image's, if it is there."""
    return next((mask for suffix in MASK_ENDINGS if (mask := f"{_id(name)}{suffix}") in files and mask != name), None)


def _id(name: str) -> str:
    return name.removesuffix(IMAGE_ENDING)


def _list_part(folder: Path, split: str | None) -> _Part:
    files, repeated = _files(folder)
    masks = {name for name in files if name.endswith(MASK_ENDINGS)}
    others = {name for name in files if name.endswith(_OTHER_ENDINGS)}
    images = files.keys() - masks - others
    pairs = {name: mask for name in sorted(images) if (mask := _mask_of(name, files))}
    return _Part(
        records=tuple(Record(_id(name), files[name], files[mask], split=split) for name, mask in pairs.items()),
        missing={_id(name): files[name] for name in sorted(images - pairs.keys())},
        orphans=tuple(files[mask] for mask in sorted(masks - set(pairs.values()))),
        repeated=repeated,
        others=len(others),
    )
