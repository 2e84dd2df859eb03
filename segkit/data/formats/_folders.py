"""Folders and image files by name: the words layouts are told by, and fast listing."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.data.findings import Finding, shown
from segkit.data.image_io import IMAGE_SUFFIXES
from segkit.data.readers._base import cut_suffix
from segkit.data.rules import finding

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of splits as they occur, and the split they mean."""

IMAGE_WORDS = ("images", "image", "imgs", "img")
MASK_WORDS = ("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot")
INSTANCE_WORDS = ("instances", "instance", "instance_masks", "instance_labels", "object_numbers")
CLASS_FILES = ("classes.csv", "classes.txt", "label_colors.txt", "labelmap.txt", "class_dict.csv")

_SPLIT, _IMAGE, _MASK = ("|".join(sorted(words, key=len, reverse=True)) for words in (SPLITS, IMAGE_WORDS, MASK_WORDS))
_SPLIT_THEN_KIND = re.compile(rf"(?P<split>{_SPLIT})?[-_ ]?(?:(?P<image>{_IMAGE})|(?P<mask>{_MASK}))?", re.IGNORECASE)
_KIND_THEN_SPLIT = re.compile(rf"(?:(?P<image>{_IMAGE})|(?P<mask>{_MASK}))[-_ ]?(?P<split>{_SPLIT})", re.IGNORECASE)


@dataclass(frozen=True)
class FolderName:
    """What a folder's name says: its split (None: no word of one), and whether it holds images or masks."""

    split: str | None
    images: bool
    masks: bool

    @classmethod
    def parse(cls, name: str) -> FolderName | None:
        """The meaning of names such as `images`, `train`, `trainannot`, `val_masks`, `images-test`; else None."""
        match = _SPLIT_THEN_KIND.fullmatch(name) or _KIND_THEN_SPLIT.fullmatch(name)
        if match is None or not match[0].strip("-_ "):
            return None
        split = SPLITS[match["split"].lower()] if match["split"] else None
        return cls(split, bool(match["image"]), bool(match["mask"]))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; hidden ones are left out."""
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if _is_folder(entry) and not entry.name.startswith("."))


@dataclass(frozen=True)
class ImageFiles:
    """The image files below a folder.

    Attributes:
        folder: where they lie.
        files: path below the folder without suffix ("patient1/001") -> file.
        repeated: files that have the name without suffix of another one; the first by name is among `files` too.
        other_suffixes: suffix of the files that are no images -> their number.
    """

    folder: Path
    files: dict[str, Path]
    repeated: tuple[Path, ...]
    other_suffixes: Counter[str]

    @classmethod
    def below(cls, folder: Path) -> ImageFiles:
        """List a folder and everything below it; hidden files are left out."""
        by_stem: defaultdict[str, list[Path]] = defaultdict(list)
        other: Counter[str] = Counter()
        for relative in sorted(_walk(folder)):
            stem, suffix = cut_suffix(relative)
            if suffix.lower() not in IMAGE_SUFFIXES:
                other[suffix.lower()] += 1
            else:
                by_stem[stem].append(folder / relative)
        files = {stem: found[0] for stem, found in by_stem.items()}
        repeated = tuple(file for found in by_stem.values() if len(found) > 1 for file in found)
        return cls(folder, files, repeated, other)

    def notes(self, root: Path) -> list[str]:
        """A sentence about the files that are no images."""
        if not self.other_suffixes:
            return []
        counts = ", ".join(
            f"{count} {suffix or 'without suffix'}" for suffix, count in self.other_suffixes.most_common(5)
        )
        return [f"left out in {shown(self.folder, root)}: {counts} (no images)"]


def holds_images(folder: Path) -> bool:
    """Whether an image file lies in the folder or below it."""
    return any(map(_is_image, _walk(folder)))


def holds_other_files_only(folder: Path) -> bool:
    """Whether files lie in the folder or below it, and none is an image."""
    return not holds_images(folder) and any(True for _ in _walk(folder))


def names_below(folder: Path) -> Iterator[str]:
    """The names of all files below a folder, relative to it, with forward slashes, unsorted; hidden ones left out."""
    return _walk(folder)


def files_below(folder: Path, suffix: str) -> Iterator[Path]:
    """The files with a suffix (lower case, with the dot) in the folder and below it, unsorted; hidden ones left out."""
    return (folder / name for name in _walk(folder) if cut_suffix(name)[1].lower() == suffix)


def find_class_file(root: Path) -> Path | None:
    """The class file beside the data."""
    return next((root / name for name in CLASS_FILES if (root / name).is_file()), None)


def finding_of_files(code: str, message: str, files: Sequence[Path], root: Path) -> list[Finding]:
    """One finding about these files, or none without files; `{n}` in the message becomes their number."""
    return [finding(code, message.format(n=len(files)), [shown(file, root) for file in files])] if files else []


def _walk(folder: Path) -> Iterator[str]:
    """Paths of all files below a folder, relative to it, with forward slashes.

    Every folder is visited once, under its own name rather than that of a link: links may lead back to a parent.
    """
    real = os.path.realpath(folder)
    seen, links = {real}, list[tuple[str, str]]()
    yield from _walk_folders(real, "", seen, links)
    for target, prefix in links:  # grows on the way: linked folders may hold further links
        if target not in seen:
            seen.add(target)
            yield from _walk_folders(target, prefix, seen, links)


def _walk_folders(folder: str, prefix: str, seen: set[str], links: list[tuple[str, str]]) -> Iterator[str]:
    """The files of a real folder and those below it that were not seen; links to folders are put off, by name."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                yield prefix + entry.name
            elif entry.is_symlink():
                found.append((os.path.realpath(entry.path), f"{prefix}{entry.name}/"))
            elif entry.path not in seen:
                seen.add(entry.path)
                yield from _walk_folders(entry.path, f"{prefix}{entry.name}/", seen, links)
    links += sorted(found, key=lambda link: link[1])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link to itself is neither."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_image(name: str) -> bool:
    return cut_suffix(name)[1].lower() in IMAGE_SUFFIXES
