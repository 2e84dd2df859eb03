"""COCO's JSON files in a data folder, their categories, and where the images they name lie."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

from segkit.data.class_file import BACKGROUND_NAMES, IGNORED_NAMES, MAX_ID, ClassFile
from segkit.data.formats._dataset_json import is_there
from segkit.data.formats._folders import SPLITS, FolderName, subfolders
from segkit.data.formats._json import is_whole, objects_in, read_json_object
from segkit.errors import DataError, UnreadableFileError
from segkit.structures import Color

Kind = Literal["instances", "panoptic"]

MAX_FILES = 50
"""More JSON files in one folder come from tools that write one per image."""

MAX_FOLDERS = 64
"""Folders in which images are looked for; where there are more, the file names lead into them."""

_HEAD = 64
_FIRST = 2**20
_IMAGES, _ANNOTATIONS = (re.compile(rb'"%s"\s*:\s*\[' % key) for key in (b"images", b"annotations"))
_SPLIT = re.compile(rf"(?<![a-z])({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class CocoFile:
    """A JSON file in COCO's form, read.

    Attributes:
        path: the file.
        split: the split that its name or its folder's name says.
        images: entries of `images`, each with a usable `id` and `file_name`.
        annotations: entries of `annotations`.
        categories: category id -> name.
        colors: category id -> colour, where every category has one.
    """

    path: Path
    split: str | None
    images: Sequence[dict[str, Any]]
    annotations: Sequence[dict[str, Any]]
    categories: Mapping[int, str]
    colors: Mapping[int, Color]


def find_coco_files(root: Path, kind: Kind) -> list[Path]:
    """The COCO files of a kind: `root` itself, those in `annotations/`, beside the images, or in the splits' folders.

    Only the first characters of their lists are looked at. Where some are called `instances...`, COCO's other files
    about the same images are left out.
    """
    if root.is_file():
        return [root] if root.suffix.lower() == ".json" and kind_of_file(root) == kind else []
    inner = subfolders(root)
    named = [folder for folder in inner if folder.name.lower() == "annotations"]
    for folders in (named, [root], [folder for folder in inner if folder not in named]):
        found = [path for folder in folders for path in _json_files(folder) if kind_of_file(path) == kind]
        if found:
            return [path for path in found if path.name.startswith("instances")] or found
    return []


def _json_files(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        found = [folder / entry.name for entry in entries if entry.name.lower().endswith(".json") and entry.is_file()]
    return sorted(path for path in found if not path.name.startswith(".")) if len(found) <= MAX_FILES else []


def kind_of_file(path: Path) -> Kind | None:
    """What a JSON file holds, judged by its keys and the first of its annotations; None: nothing of COCO's."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            annotations = _ANNOTATIONS.search(text)
            if annotations is None or _IMAGES.search(text) is None:
                return None
            begins, start = text[:_HEAD].lstrip(b"\xef\xbb\xbf \t\r\n"), annotations.end()
            first = text[start : start + _FIRST]
    except (OSError, ValueError):  # an empty file cannot be mapped
        return None
    if not begins.startswith(b"{"):
        return None
    if b'"segments_info"' in first:
        return "panoptic"
    return "instances" if b'"category_id"' in first or first.lstrip()[:1] == b"]" else None


def read_coco_file(path: Path, root: Path) -> CocoFile:
    """Read a COCO file of the data set in `root`; raises `UnreadableFileError` for one that is not of COCO's form."""
    content = read_json_object(path)
    images = objects_in(path, content, "images")
    for position, image in enumerate(images):
        if not isinstance(image.get("file_name"), str) or not isinstance(image.get("id"), int | str):
            raise UnreadableFileError(path, f"entry {position} of 'images' lacks an id or a file_name")
    ids = {image["id"] for image in images}
    if len(ids) < len(images):
        raise UnreadableFileError(path, "two of its images have the same id; export it again")
    categories = objects_in(path, content, "categories")
    return CocoFile(
        path=path,
        split=split_of(path, root),
        images=images,
        annotations=objects_in(path, content, "annotations"),
        categories=_categories(path, categories),
        colors=_colors(categories),
    )


def image_of(entry: Mapping[str, Any]) -> int | str | None:
    """The id of the image that an entry of `annotations` is about, None where it says none."""
    id_ = entry.get("image_id")
    return id_ if isinstance(id_, int | str) else None


def split_of(path: Path, root: Path) -> str | None:
    """The split that a file's name says (`instances_train2017.json`), else that of its folder (Roboflow's `valid/`)."""
    return split_in(path.stem) or (None if path.parent == root else split_in(path.parent.name))


def split_in(name: str) -> str | None:
    """The split that occurs as a word in a name, where it is one alone."""
    found = {SPLITS[word.lower()] for word in _SPLIT.findall(name)}
    return found.pop() if len(found) == 1 else None


def _categories(path: Path, categories: Sequence[dict[str, Any]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for category in categories:
        id_, name = category.get("id"), category.get("name")
        if not is_whole(id_) or not isinstance(name, str) or not name.strip():
            raise UnreadableFileError(path, f"the category {str(category)[:80]} lacks a number as id, or a name")
        if not 0 <= id_ <= MAX_ID:
            raise UnreadableFileError(path, f"the category id {id_} is not 0 to {MAX_ID}; number them anew")
        if int(id_) in names or name in names.values():
            reason = f"the category {name!r} (id {id_}) has a name or id that another one has; both are unique"
            raise UnreadableFileError(path, reason)
        names[int(id_)] = name
    heading = _heading(categories)
    return {id_: name for id_, name in names.items() if id_ != heading}


def _heading(categories: Sequence[dict[str, Any]]) -> int | None:
    """Roboflow's category 0, which marks nothing: its name is the supercategory of all others."""
    first = next((category for category in categories if category["id"] == 0), {})
    above = {category.get("supercategory") for category in categories if category is not first}
    return 0 if first.get("supercategory") == "none" and above == {first["name"]} else None


def _colors(categories: Sequence[dict[str, Any]]) -> dict[int, Color]:
    colors: dict[int, Color] = {}
    for category in categories:
        color = category.get("color")
        if not (isinstance(color, list) and len(color) == 3 and all(is_whole(c) and 0 <= c <= 255 for c in color)):
            return {}
        colors[int(category["id"])] = (int(color[0]), int(color[1]), int(color[2]))
    return colors


def declared_by(files: Sequence[CocoFile], used: set[str], is_drawn: bool) -> ClassFile:
    """The classes that the files declare, by their ids.

    Args:
        files: COCO files of one data set.
        used: names that objects have.
        is_drawn: masks are drawn, in which background is a class; else it is one only where boxes have it.

    Raises:
        DataError: an id has two names or a name two ids, or there is no class.
    """
    names: dict[int, str] = {}
    for file in files:
        for id_, name in file.categories.items():
            if names.setdefault(id_, name) != name or list(names.values()).count(name) > 1:
                raise DataError(
                    f"{file.path}: the category {name!r} has the id {id_}, and {files[0].path.name} says otherwise; "
                    "export all parts with the same categories"
                )
    background = next((id_ for id_, name in names.items() if name.lower() in BACKGROUND_NAMES), None)
    left_out = {id_ for id_, name in names.items() if name.lower() in IGNORED_NAMES}
    if background is not None and not is_drawn and names[background] not in used:
        left_out.add(background)
    kept = {id_: name for id_, name in sorted(names.items()) if id_ not in left_out}
    if not kept:
        raise DataError(f"{files[0].path} declares no category that counts; export it with its categories")
    colors = {id_: color for file in files for id_, color in file.colors.items()}
    return ClassFile(
        source=str(files[0].path),
        names=tuple(kept.values()),
        ids=tuple(kept),
        colors=tuple(colors[id_] for id_ in kept) if kept.keys() <= colors.keys() else (),
        background=background if background in kept else None,
    )


class ImageFolders:
    """Where the images lie that a COCO file names.

    Args:
        root: the data set's folder, or the COCO file itself.
        file: the COCO file.
    """

    def __init__(self, root: Path, file: CocoFile) -> None:
        folder = root if root.is_dir() else root.parent
        self._root = folder.parent if folder.name.lower() == "annotations" else folder
        self._file = file

    def find(self, name: str) -> tuple[Path, str] | None:
        """The image called `name`, and its path in the folder it lies in: the file's own, else the one that suits best.

        Of a path that leads nowhere, such as one of another machine, the last name counts. Raises `DataError` where
        several folders suit equally well.
        """
        relative = name.replace("\\", "/")
        names = [relative] if not _is_absolute(name) else []
        for candidate in dict.fromkeys((*names, relative.rsplit("/", 1)[-1])):
            for folders in self._by_suitability:
                found = [folder / candidate for folder in folders if is_there(folder / candidate)]
                if len(found) > 1:
                    listed = " and ".join(str(path.parent) for path in found[:2])
                    raise DataError(f"{self._file.path}: {candidate} lies in {listed}; keep the images meant there")
                if found:
                    return found[0], candidate
        return None

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
