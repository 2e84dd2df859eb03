"""Where the images lie that a COCO file names."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path, PurePosixPath, PureWindowsPath

from segkit.data.formats._coco_files import CocoFile, split_in
from segkit.data.formats._dataset_json import is_there
from segkit.data.formats._folders import FolderName, subfolders
from segkit.errors import DataError

MAX_FOLDERS = 64
"""Folders in which images are looked for; where there are more, the file names lead into them."""


class ImageFolders:
    """Where the images lie that a COCO file names.

    Args:
        root: the data set's folder, or the COCO file itself.
        file: the COCO file.

    Attributes:
        respelt: name in the file -> name of the image that was found, where upper and lower case differ.
    """

    def __init__(self, root: Path, file: CocoFile) -> None:
        folder = root if root.is_dir() else root.parent
        self._root = folder.parent if folder.name.lower() == "annotations" else folder
        self._file = file
        self._listed: dict[Path, dict[str, list[str]]] = {}
        self.respelt: dict[str, str] = {}

    def find(self, name: str) -> tuple[Path, str] | None:
        """The image called `name`, and its path in the folder it lies in: the file's own, else the one that suits best.

        Of a path that leads nowhere, such as one of another machine, the last name counts, and where there is none of
        that name the only one that differs by upper and lower case alone, which is then among the `respelt`. Raises
        `DataError` where several folders suit equally well.
        """
        relative = name.replace("\\", "/")
        names = [relative] if not _is_absolute(name) else []
        candidates = list(dict.fromkeys((*names, relative.rsplit("/", 1)[-1])))
        found = self._find(candidates, lambda path: path if is_there(path) else None)
        if found is None:
            found = self._find(candidates, self._in_other_case)
            if found is not None:
                self.respelt[relative.rsplit("/", 1)[-1]] = found[0].name
        return found

    def _find(self, candidates: Sequence[str], there: Callable[[Path], Path | None]) -> tuple[Path, str] | None:
        for candidate in candidates:
            for folders in self._by_suitability:
                places = (there(folder / candidate) for folder in folders)
                found = [path for path in places if path is not None]
                if len(found) > 1:
                    listed = " and ".join(str(path.parent) for path in found[:2])
                    raise DataError(f"{self._file.path}: {candidate} lies in {listed}; keep the images meant there")
                if found:
                    return found[0], str(PurePosixPath(candidate).with_name(found[0].name))
        return None

    def _in_other_case(self, path: Path) -> Path | None:
        """The only file of a folder whose name differs by upper and lower case alone."""
        if path.parent not in self._listed:
            self._listed[path.parent] = defaultdict(list)
            for name in _file_names(path.parent):
                self._listed[path.parent][name.casefold()].append(name)
        names = self._listed[path.parent].get(path.name.casefold(), [])
        return path.with_name(names[0]) if len(names) == 1 else None

    @cached_property
    def _by_suitability(self) -> list[list[Path]]:
        own, split = self._file.path.parent, self._file.split
        others = [folder for folder in _image_folders(self._root) if folder != own]
        if split:
            others = [folder for folder in others if folder == self._root or split_in(folder.name) in (None, split)]
        ordered = sorted(others[:MAX_FOLDERS], key=self._unsuitability)
        return [[own], *(list(folders) for _, folders in groupby(ordered, key=self._unsuitability))]

    def _unsuitability(self, folder: Path) -> tuple[bool, bool, bool]:
        names = [FolderName.parse(each.name) for each in (folder, folder.parent) if each != self._root]
        holds_images = any(name is not None and name.images for name in names)
        is_root, name = folder == self._root, re.escape(folder.name.lower())
        is_named = not is_root and re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", self._file.path.stem.lower())
        has_split = not is_root and self._file.split is not None and split_in(folder.name) == self._file.split
        return not is_named, not has_split, not holds_images


def _file_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_file()]
    except (OSError, ValueError):
        return []


def _is_absolute(name: str) -> bool:
    return name.startswith("/") or PureWindowsPath(name).is_absolute()


def _image_folders(root: Path) -> Iterator[Path]:
    """The folder, those in it and those in these, but for folders of masks."""
    yield root
    for folder in _without_masks(root):
        yield folder
        yield from _without_masks(folder)


def _without_masks(folder: Path) -> list[Path]:
    """The folders in a folder that may hold images."""
    named = [(inner, FolderName.parse(inner.name)) for inner in subfolders(folder)]
    return [
        inner for inner, name in named if not (name and name.masks) and not inner.name.lower().startswith("panoptic")
    ]
