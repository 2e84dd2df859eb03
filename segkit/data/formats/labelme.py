"""labelme: one JSON file per image, beside it or in a folder of its own.

Format: https://github.com/wkentaro/labelme. Coordinates are pixels from the image's upper left corner; shapes are
painted in the file's order. As in labelme's own exports `__ignore__` is not counted and `_background_` is background.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from segkit.data.findings import shown
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._folders import FolderName, files_below
from segkit.data.formats._image_search import ImageSearch
from segkit.data.formats._json import kind_of, objects_in, read_json_object
from segkit.data.formats._labelme_shapes import IGNORED, read_shapes
from segkit.data.formats._marked import Export, MarkedImage, list_marked, masks_beside
from segkit.data.formats._shapes import image_size
from segkit.data.image_io import write_image
from segkit.data.rules import finding
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder, write_atomically
from segkit.ops.words import counted
from segkit.structures import TaskName

_CLASS_FILES = ("labels.txt", "flags.txt")
_KEYS = re.compile(rb'"(version|flags|shapes|imagePath|imageData|imageHeight)"\s*:')
_HEAD = 2**14
_LOOKED_AT = 20


@FORMATS.register("labelme")
class Labelme:
    """`NAME.json` beside `NAME.jpg`, or in a folder of its own, at any depth; folders called like a part are one.

    Polygons, rectangles, circles and masks are objects, those of one label and group one object; points and lines are
    left out. Flags of the images are labels to classify by. `labels.txt` or `flags.txt`, which labelme is started with,
    give the order of the classes.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether one of the first JSON files begins as labelme's do, and there are no masks in files."""
        if not root.is_dir():
            return False
        return any(map(_is_labelme, islice(files_below(root, ".json"), _LOOKED_AT))) and not masks_beside(root)

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records; raises `DataError` where no file is labelme's, or none has a shape or a flag."""
        files = sorted(files_below(root, ".json")) if root.is_dir() else []
        if not any(map(_is_labelme, files)):
            raise DataError(f"{root} holds no JSON files of labelme; expected NAME.json beside NAME.jpg")
        source, names = _names(root)
        read = _Reader(root, Export("labelme", source, names=names), task)
        for file in files:
            read.add(file)
        read.say()
        if read.embedded and not read.export.images:
            raise DataError(f"{root}: {_embedded(read.embedded)}")
        listing = list_marked(root, read.export, task)
        embedded = [finding("unreadable-image", _embedded(read.embedded), read.embedded)] if read.embedded else []
        return replace(listing, findings=(*embedded, *listing.findings))

    def example(self, root: Path) -> None:
        """Three images with a polygon of two parts, a circle, a rectangle and a mask."""
        _write_example(root)


class _Reader:
    """The files of a folder, one after the other, and what is to be said about them."""

    def __init__(self, root: Path, export: Export, task: TaskName | None) -> None:
        self.root, self.export, self.task = root, export, task
        self.search = ImageSearch(root)
        self.embedded: list[str] = []
        self.ignored = self.others = 0

    def add(self, file: Path) -> None:
        """Read one file; one that is not labelme's, and called like no image, is another tool's."""
        beside = self.search.find(file.with_suffix("").name, file.parent)
        if not _is_labelme(file) and beside is None:
            self.others += 1
            return
        try:
            self._read(file, beside)
        except UnreadableFileError as error:
            self.export.broken[shown(file, self.root)] = error.reason
        except DataError as error:
            self.export.broken[shown(file, self.root)] = str(error)

    def say(self) -> None:
        """Notes about the files that give no record."""
        used = {image.image for image in self.export.images}
        unmarked = 0 if self.export.broken else len(set(self.search.files) - used)
        self.export.notes += [
            f"left out, {reason}: {counted(number, what)}"
            for number, what, reason in (
                (self.ignored, "image", f"because they are flagged {IGNORED}"),
                (unmarked, "image", "because no JSON file is about them"),
                (self.others, "JSON file", "because they are not labelme's"),
            )
            if number
        ]

    def _read(self, file: Path, beside: Path | None) -> None:
        content = read_json_object(file)
        shapes = objects_in(file, content, "shapes")
        size = _size(content)
        objects = read_shapes(shapes, size, self.task, self.export.left_out)
        labels = [name for name, is_set in _flags(content).items() if is_set is True]
        name = content.get("imagePath")
        if not isinstance(name, str) or not name:
            raise DataError(f"imagePath is {kind_of(name)}, and the name of the image is expected")
        image = self.search.find(name, file.parent) or beside
        if IGNORED in labels:
            self.ignored += 1
        elif image is None and content.get("imageData"):
            self.embedded.append(shown(file, self.root))
        else:
            image = image or file.parent / name.replace("\0", "")
            marked_image = MarkedImage(
                id=self.search.id_of(image),
                image=image,
                source=file,
                objects=tuple(objects),
                size=size,
                labels=tuple(labels),
                split=_split(file.relative_to(self.root)),
            )
            self.export.images.append(marked_image)


def _is_labelme(file: Path) -> bool:
    """Whether a file begins as labelme's do: at least two of its keys, one of them that of the shapes or the image."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    keys = {match[1] for match in _KEYS.finditer(head)}
    return len(keys) > 1 and not keys.isdisjoint({b"shapes", b"imageData"})


def _names(root: Path) -> tuple[str, tuple[str, ...]]:
    """Where the classes are listed, and their names in order."""
    files = [root / name for name in _CLASS_FILES if (root / name).is_file()]
    lines = [line.strip() for file in files for line in file.read_text("utf-8-sig", errors="replace").splitlines()]
    names = tuple(dict.fromkeys(line for line in lines if line and line != IGNORED))
    return str(files[0] if files else root), names


def _size(content: Mapping[str, Any]) -> tuple[int, int] | None:
    height, width = content.get("imageHeight"), content.get("imageWidth")
    return None if height is None or width is None else image_size(height, width)


def _flags(content: Mapping[str, Any]) -> Mapping[str, Any]:
    flags = content.get("flags") or {}
    if not isinstance(flags, dict):
        raise DataError(f"flags is {kind_of(flags)}, and an object {{...}} is expected")
    return flags


def _split(inside: Path) -> str | None:
    """The part that a folder on the way to the file names."""
    names = (FolderName.parse(part) for part in inside.parent.parts)
    return next((name.split for name in names if name and name.split), None)


def _embedded(files: Sequence[str]) -> str:
    return (
        f"{counted(len(files), 'file')} hold the image inside (imageData), and no image file lies beside; "
        "save the images as files, for example with 'labelme_export_json'"
    )


def _write_example(root: Path) -> None:
    make_folder(root)
    for number in range(3):
        png = BytesIO()
        Image.fromarray(np.array([[0, 255, 0], [255, 255, 255]], np.uint8)).save(png, format="PNG")
        shapes = [
            ("cell", [[3.0 + number, 3.0], [20.0, 4.0], [18.0, 20.0]], 1, "polygon"),
            ("cell", [[22.0, 22.0], [28.0, 22.0], [28.0, 28.0]], 1, "polygon"),
            ("nucleus", [[14.0, 9.0], [14.0, 12.0]], None, "circle"),
            ("nucleus", [[30.0, 4.0], [36.0, 10.0]], None, "rectangle"),
            ("nucleus", [[33.0, 20.0], [35.0, 21.0]], None, "mask"),
            ("_background_", [[4.0, 26.0]], None, "point"),
        ]
        content: dict[str, Any] = {
            "version": "5.8.0",
            "flags": {},
            "shapes": [
                {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}}
                | ({"mask": b64encode(png.getvalue()).decode()} if kind == "mask" else {})
                for label, points, group, kind in shapes
            ],
            "imagePath": f"{number}.png",
            "imageData": None,
            "imageHeight": 30,
            "imageWidth": 40,
        }
        pixels = np.random.default_rng(number).integers(0, 255, (30, 40), np.uint8)
        write_image(root / f"{number}.png", pixels)
        write_atomically(root / f"{number}.json", json.dumps(content, indent=2).encode())
