"""COCO's JSON files in a data folder, and their categories."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segkit.data.class_file import BACKGROUND_NAMES, IGNORED_NAMES, MAX_ID, ClassFile
from segkit.data.formats._folders import SPLITS, subfolders
from segkit.data.formats._json import as_whole, is_whole, objects_in, read_json_object
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.words import counted
from segkit.structures import Color

Kind = Literal["instances", "panoptic"]

MAX_FILES = 50
"""More JSON files in one folder come from tools that write one per image."""

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
        images: entries of `images`, each with a `file_name` and an `id` of its own, see `image_id`.
        annotations: entries of `annotations`.
        categories: category id -> name.
        colors: category id -> colour, where every category has one.
        notes: what else to say about it.
    """

    path: Path
    split: str | None
    images: Sequence[dict[str, Any]]
    annotations: Sequence[dict[str, Any]]
    categories: Mapping[int, str]
    colors: Mapping[int, Color]
    notes: tuple[str, ...] = ()


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
    images, notes = _images(path, objects_in(path, content, "images"))
    annotations = objects_in(path, content, "annotations")
    categories = _without_heading(objects_in(path, content, "categories"), annotations)
    return CocoFile(
        path=path,
        split=split_of(path, root),
        images=images,
        annotations=annotations,
        categories=_categories(path, categories),
        colors=_colors(categories),
        notes=notes,
    )


def _images(path: Path, entries: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """The entries of `images` by their ids, and what to say about those that occur twice."""
    images: dict[int | str, dict[str, Any]] = {}
    repeated: list[str] = []
    for position, image in enumerate(entries):
        id_, name = image_id(image.get("id")), image.get("file_name")
        if not isinstance(name, str) or id_ is None:
            raise UnreadableFileError(path, f"entry {position} of 'images' lacks an id or a file_name")
        if id_ not in images:
            images[id_] = {**image, "id": id_}
            continue
        other = images[id_]["file_name"]
        if other != name:
            reason = f"the image id {id_} is listed twice, for {other} and for {name}"
            raise UnreadableFileError(path, f"{reason}, so nobody knows whose its objects are; number the images anew")
        repeated.append(name)
    said = f"{path.name} lists {counted(len(repeated), 'image')} again with the same id, for example "
    return list(images.values()), (said + repeated[0],) if repeated else ()


def image_id(value: object) -> int | str | None:
    """An id of an image, whose number counts however it is written (1, 1.0 or "1"); None for what is no id."""
    whole = as_whole(value)
    return value if whole is None and isinstance(value, str) else whole


def image_of(entry: Mapping[str, Any]) -> int | str | None:
    """The id of the image that an entry of `annotations` is about, None where it says none."""
    return image_id(entry.get("image_id"))


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
        id_, name = as_whole(category.get("id")), category.get("name")
        if id_ is None or id_ < 0 or not isinstance(name, str) or not name.strip():
            raise UnreadableFileError(path, f"the category {str(category)[:80]} lacks a number from 0 as id, or a name")
        if id_ in names or name in names.values():
            reason = f"the category {name!r} (id {id_}) has a name or id that another one has; both are unique"
            raise UnreadableFileError(path, reason)
        names[id_] = name
    return names


def _without_heading(
    categories: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]]
) -> Sequence[dict[str, Any]]:
    """The categories but for Roboflow's 0, which marks nothing: it is named like the project, as what stands above all.

    A category that an object has, or a segment of a panoptic file, is none.
    """
    first = next((category for category in categories if as_whole(category.get("id")) == 0), None)
    if first is None or first.get("supercategory") != "none":
        return categories
    others = [category for category in categories if category is not first]
    names = [category.get("name") for category in others]
    above = [category.get("supercategory") for category in others]
    is_above = bool(others) and all(name == first.get("name") for name in above)
    if not is_above and first.get("name") not in names:
        return categories
    return categories if any(map(_has_category_0, annotations)) else others


def _has_category_0(entry: Mapping[str, Any]) -> bool:
    segments = entry.get("segments_info")
    of_panoptic = [one for one in segments if isinstance(one, dict)] if isinstance(segments, list) else []
    return any(as_whole(one.get("category_id")) == 0 for one in (entry, *of_panoptic))


def _colors(categories: Sequence[dict[str, Any]]) -> dict[int, Color]:
    colors: dict[int, Color] = {}
    for category in categories:
        color = category.get("color")
        if not (isinstance(color, list) and len(color) == 3 and all(is_whole(c) and 0 <= c <= 255 for c in color)):
            return {}
        colors[as_whole(category["id"]) or 0] = (int(color[0]), int(color[1]), int(color[2]))
    return colors


def declared_by(files: Sequence[CocoFile], used: set[str], is_drawn: bool) -> tuple[ClassFile, list[str]]:
    """The classes that the files declare, by their ids.

    Args:
        files: COCO files of one data set.
        used: names that objects have.
        is_drawn: masks are drawn, in which background is a class; else it is one only where boxes have it.

    Raises:
        DataError: an id has two names or a name two ids, or there is no class.

    Returns:
        The classes, numbered anew in their order where an id is above `MAX_ID`, and what to say about that.
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
    if len(kept) > MAX_ID:
        raise DataError(f"{files[0].path} declares {len(kept):,} categories, and masks hold {MAX_ID:,}; join some")
    numbers = _numbers(kept)
    classes = ClassFile(
        source=str(files[0].path),
        names=tuple(kept.values()),
        ids=tuple(numbers.values()),
        colors=tuple(colors[id_] for id_ in kept) if kept.keys() <= colors.keys() else (),
        background=None if background is None else numbers.get(background),
    )
    if list(numbers) == list(classes.ids):
        return classes, []
    said = f"category ids above {MAX_ID} fit no mask, so the categories are numbered anew in their order, "
    return classes, [said + f"{classes.ids[0]} to {classes.ids[-1]}"]


def _numbers(ids: Iterable[int]) -> dict[int, int]:
    """Id -> id of the class: the same, or, where one is too large for masks, 1, 2, 3, ..., and 0 for 0."""
    ordered = sorted(ids)
    if ordered[-1] <= MAX_ID:
        return {id_: id_ for id_ in ordered}
    return dict(zip(ordered, range(min(ordered[0], 1), len(ordered) + 1), strict=False))
