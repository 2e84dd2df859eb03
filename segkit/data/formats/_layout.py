"""Where images and masks lie below a data set's folder, judged by the names of folders."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from segkit.data.formats._folders import FolderName, holds_images, holds_other_files_only, subfolders
from segkit.errors import DataError
from segkit.structures import PARTS


@dataclass(frozen=True)
class Part:
    """A folder of images with its folder of masks (None: it has none) and the split both belong to."""

    images: Path
    masks: Path | None
    split: str | None = None


@dataclass(frozen=True)
class Layout:
    """How a data set is laid out, in words, and its parts; no parts where there is no folder of masks."""

    description: str
    parts: tuple[Part, ...] = ()


def find_layout(root: Path) -> Layout:
    """The layout of a mask folder; raises `DataError` where several folders could be the masks of one split."""
    folders = _named_folders(root)
    plain = _pairs([(folder, name) for folder, name in folders if name.split is None])
    if plain and plain[0].masks:
        by_kind = _by_split(plain[0].images, plain[0].masks)
        return Layout("mask folder, kind first", by_kind) if by_kind else Layout("mask folder, flat", tuple(plain))
    nested = [part for folder, name in folders if name.split and not name.masks for part in _inside(folder, name.split)]
    if any(part.masks for part in nested):
        return Layout("mask folder, split first", tuple(nested))
    joined = _pairs([(folder, name) for folder, name in folders if name.split])
    if any(part.masks for part in joined):
        first = next(part for part in joined if part.masks)
        return Layout(f"mask folder, {first.images.name} + {first.masks.name if first.masks else ''}", tuple(joined))
    return Layout("no mask folder")


def find_images(root: Path) -> Layout:
    """How images without masks are laid out: in `images/` or its parts, in the parts' folders, or beside one another.

    Raises `DataError` where several folders could hold the images of one split.
    """
    folders = [(folder, name) for folder, name in _named_folders(root) if not name.masks]
    plain = _pairs([(folder, name) for folder, name in folders if name.split is None])
    if plain:
        by_split = _split_folders(plain[0].images)
        if by_split and None not in by_split:
            return Layout("images, kind first", tuple(Part(folder, None, split) for split, folder in by_split.items()))
        return Layout("images, flat", tuple(plain))
    parts = tuple(part for folder, name in folders if name.split for part in _inside(folder, name.split))
    if parts:
        return Layout("images, split first", parts)
    return Layout("images, flat", (Part(root, None),) if holds_images(root) else ())


def _named_folders(root: Path) -> list[tuple[Path, FolderName]]:
    """The folders whose name says something; a folder of masks that holds other files only is none."""
    named = [(folder, name) for folder in subfolders(root) if (name := FolderName.parse(folder.name))]
    return [(folder, name) for folder, name in named if not (name.masks and holds_other_files_only(folder))]


def _pairs(folders: list[tuple[Path, FolderName]]) -> list[Part]:
    """Parts of folders that lie side by side: one folder of images and at most one of masks for each split."""
    images: defaultdict[str | None, list[Path]] = defaultdict(list)
    masks: defaultdict[str | None, list[Path]] = defaultdict(list)
    for folder, name in folders:
        (masks if name.masks else images)[name.split].append(folder)
    return [
        Part(_only(images[split]), _only(masks[split]) if masks[split] else None, split)
        for split in sorted(images, key=_in_order)
    ]


def _inside(folder: Path, split: str) -> list[Part]:
    """The parts inside the folder of a split, such as train/images + train/masks; images without more are one part."""
    parts = _pairs([(inner, name) for inner, name in _named_folders(folder) if name.split is None])
    if not parts and holds_images(folder):
        return [Part(folder, None, split)]
    return [Part(part.images, part.masks, split) for part in parts]


def _by_split(images: Path, masks: Path) -> tuple[Part, ...]:
    """The parts of images/train + masks/train; none unless every folder of images is called like a split."""
    image_folders, mask_folders = _split_folders(images), _split_folders(masks)
    if not image_folders or None in image_folders or not image_folders.keys() & mask_folders.keys():
        return ()
    return tuple(Part(folder, mask_folders.get(split), split) for split, folder in image_folders.items())


def _split_folders(folder: Path) -> dict[str | None, Path]:
    names = [(inner, FolderName.parse(inner.name)) for inner in subfolders(folder)]
    return {name.split if name and not (name.images or name.masks) else None: inner for inner, name in names}


def _in_order(split: str | None) -> int:
    return PARTS.index(split) if split in PARTS else len(PARTS)


def _only(candidates: list[Path]) -> Path:
    """The one folder that holds images; the first where none does."""
    holding = [folder for folder in candidates if len(candidates) == 1 or holds_images(folder)]
    if len(holding) > 1:
        names = " and ".join(f"{folder.name}/" for folder in holding)
        raise DataError(
            f"{holding[0].parent}: {names} could both be meant; rename one, or list image and mask in a table (CSV)"
        )
    return (holding or candidates)[0]
