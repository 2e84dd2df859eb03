"""Label Studio's JSON export: one list of tasks, each with an image, its annotations and the regions in them.

Format: https://labelstud.io/guide/export. Coordinates are percent of the image's width and height; a rectangle turns
clockwise about its upper left corner, an ellipse about its centre. Regions are painted in their order.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

from segkit.data.findings import shown
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._brush import decode_brush
from segkit.data.formats._examples import SIZE, scenes
from segkit.data.formats._image_search import ImageSearch
from segkit.data.formats._json import kind_of, read_json
from segkit.data.formats._marked import Export, MarkedImage, list_marked, marked, masks_beside
from segkit.data.formats._shapes import ellipse, image_size, number, pasted, polygon, rectangle
from segkit.data.image_io import IMAGE_SUFFIXES, write_image
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import Box, ObjectAnnotation, Polygons, RunLengths, TaskName

_IS_EXPORT = re.compile(rb'\A[\s\xef\xbb\xbf]*\[\s*\{.*"annotations"\s*:\s*\[', re.DOTALL)
_HEAD = 2**14
_UPLOAD_PREFIX = re.compile(r"^[0-9a-f]{8}-")
"""Put in front of the name of an uploaded file."""

_REGIONS = frozenset({"rectangle", "polygon", "ellipse", "brush"})
_FLAT = frozenset({"keypoint", "vector"})
_OTHERS = frozenset(
    {"choices", "labels", "textarea", "rating", "number", "taxonomy", "datetime", "pairwise", "ranker", "relation"}
)
"""Results that are no region of an image."""

Size = tuple[int, int]
Result = Mapping[str, Any]


@FORMATS.register("label-studio")
class LabelStudio:
    """A JSON export with the images below its folder: rectangles, polygons, ellipses, brush strokes, and choices.

    Of several annotations of a task the first that was not cancelled counts; predictions and drafts do not. Choices are
    labels to classify by. Uploaded files are found without the prefix that Label Studio gives them, too.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether `root` is such an export, or a folder that has one and no masks in files."""
        if root.is_file():
            return root.suffix.lower() == ".json" and _is_export(root)
        return bool(_exports(root)) and not masks_beside(root)

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records.

        Raises:
            DataError: no export or several, or one without any region or choice.
            UnreadableFileError: a file that is no list of tasks.
        """
        exports = [root] if root.is_file() else _exports(root)
        if not exports:
            raise DataError(f"{root} has no export of Label Studio; export as JSON, not JSON-MIN")
        if len(exports) > 1:
            found = ", ".join(file.name for file in exports)
            raise DataError(f"{root} has several exports of Label Studio: {found}; name one, such as {exports[0]}")
        return list_marked(root, _Reader(exports[0], root).export, task)

    def example(self, root: Path) -> None:
        """Four images with a turned rectangle, a polygon, an ellipse, and a choice."""
        _write_example(root)


def _is_export(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _IS_EXPORT.match(file.read(_HEAD)) is not None
    except OSError:
        return False


def _exports(root: Path) -> list[Path]:
    return [path for path in sorted(root.glob("*.json")) if _is_export(path)] if root.is_dir() else []


class _Reader:
    """The tasks of an export, one after the other, and what is to be said about them."""

    def __init__(self, path: Path, root: Path) -> None:
        self.path = path
        self.search = ImageSearch(path.parent)
        self.export = Export("Label Studio", str(path))
        self.said: Counter[str] = Counter()
        content = read_json(path)
        if not isinstance(content, list):
            raise UnreadableFileError(path, f"it holds {kind_of(content)}, and a list of tasks is expected")
        for position, task in enumerate(content):
            try:
                self._add(_mapping(task, "a task"))
            except DataError as error:
                self.export.broken[f"{shown(path, root)}, task {_name_of(task, position)}"] = str(error)
        self.export.notes += [f"{what}: {count}" for what, count in self.said.items() if count]

    def _add(self, task: Mapping[str, Any]) -> None:
        annotations = [_mapping(one, "an annotation") for one in _list(task.get("annotations"), "annotations")]
        kept = [one for one in annotations if not one.get("was_cancelled")]
        self.said["predictions, which are not used"] += len(_list(task.get("predictions") or [], "predictions"))
        if not kept:
            self.said["left out, because they have no annotation: images"] += 1
            return
        self.said["annotations after the first of an image, which are not used"] += len(kept) - 1
        results = [_mapping(one, "a result") for one in _list(kept[0].get("result"), "result")]
        name = image_name(_mapping(task.get("data"), "data"))
        size = _stated_size(results)
        objects = [] if size is None else list(self._objects(results, size))
        file = self._file(name)
        self.export.images.append(
            MarkedImage(self.search.id_of(file), file, self.path, tuple(objects), size, tuple(_choices(results)))
        )

    def _file(self, name: str) -> Path:
        """The image's file, whether it is there or not."""
        folder = self.path.parent
        plain = _UPLOAD_PREFIX.sub("", PurePosixPath(name).name)
        return self.search.find(name, folder) or self.search.find(plain, folder) or folder / name

    def _objects(self, results: Sequence[Result], size: Size) -> Iterator[ObjectAnnotation]:
        for result in results:
            kind = _kind(result)
            if kind in _OTHERS:
                continue
            labels = _labels(result, results)
            shape = _shape(kind, _mapping(result.get("value"), "the value of a result"), size)
            self.said["regions of several labels, of which the first counts"] += len(labels) > 1
            if shape is None:
                self.export.left_out[kind] += 1
            elif not labels:
                self.export.left_out[f"{kind} without a label"] += 1
            else:
                yield marked(labels[0], shape)


def image_name(data: Mapping[str, Any]) -> str:
    """The path of a task's image as it is looked for: without scheme, host, and what Label Studio puts around it."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    usual = [value for key, value in texts.items() if key.lower() in ("image", "img", "picture", "photo")]
    named = [value for value in texts.values() if _suffix(value) in IMAGE_SUFFIXES]
    found = next(iter((*usual, *named, *texts.values())), None)
    if found is None or found.startswith("data:"):
        raise DataError("its data names no image file")
    return _path_of(found).lstrip("/")


def _path_of(address: str) -> str:
    """`/data/local-files/?d=a/b.jpg` is a/b.jpg."""
    try:
        parts = urlsplit(address.replace("\0", ""))
    except ValueError:
        return address
    local = parse_qs(parts.query).get("d") if parts.path.rstrip("/").endswith("/data/local-files") else None
    return local[0] if local else unquote(parts.path)


def _suffix(address: str) -> str:
    return PurePosixPath(_path_of(address)).suffix.lower()


def _kind(result: Result) -> str:
    """`rectangle` for the types rectangle and rectanglelabels."""
    kind = result.get("type")
    if not isinstance(kind, str):
        raise DataError(f"the type of a result is {kind_of(kind)}, and a name is expected")
    kind = kind.lower()
    short = kind.removesuffix("labels") or kind
    if short in _REGIONS | _FLAT | _OTHERS:
        return short
    raise DataError(f"a result is of the type {kind[:40]!r}, which cannot be read; leave it out of the export")


def _labels(result: Result, results: Sequence[Result]) -> list[str]:
    """The labels of a region: its own, else those of another result about the same region."""
    id_ = result.get("id")
    same = [one for one in results if id_ is not None and one.get("id") == id_]
    for one in (result, *same):
        value = one.get("value")
        for key, labels in value.items() if isinstance(value, dict) else ():
            if key.endswith("labels"):
                return [_text(label, "a label") for label in _list(labels, key)]
    return []


def _choices(results: Sequence[Result]) -> Iterator[str]:
    """The choices about the image as a whole, each once; those about a region share its id."""
    regions = [one.get("id") for one in results if _kind(one) in _REGIONS | _FLAT]
    found = (one for one in results if _kind(one) == "choices" and one.get("id") not in regions)
    values = (_list(_mapping(one.get("value"), "the value of a result").get("choices"), "choices") for one in found)
    yield from dict.fromkeys(_text(choice, "a choice") for value in values for choice in value)


def _stated_size(results: Sequence[Result]) -> Size | None:
    """(H, W) as the regions state it; None without regions."""
    regions = [one for one in results if _kind(one) not in _OTHERS]
    sizes = {image_size(one.get("original_height"), one.get("original_width")) for one in regions}
    if len(sizes) > 1:
        raise DataError(f"its regions state {len(sizes)} different sizes of the image")
    turned = [one for one in regions if one.get("image_rotation") not in (None, 0)]
    if turned:
        raise DataError(
            f"the image was turned by {str(turned[0]['image_rotation'])[:20]} degrees while it was marked; "
            "save it upright, and mark it anew"
        )
    return next(iter(sizes), None)


def _shape(kind: str, value: Mapping[str, Any], size: Size) -> Polygons | RunLengths | Box | None:
    """What a region covers, in pixels; None where that is no area."""
    if kind in _FLAT:
        return None
    height, width = size[0] / 100, size[1] / 100
    if kind == "brush":
        return pasted(decode_brush(_bytes(value), size), 0, 0, size)
    if kind == "polygon":
        corners = [_list(corner, "a corner") for corner in _list(value.get("points"), "points")]
        outline = polygon(corners)
        return outline and outline.scaled(width, height)
    x, y = number(value.get("x"), "x") * width, number(value.get("y"), "y") * height
    degrees = number(value.get("rotation") or 0, "rotation")
    if kind == "ellipse":
        radii = number(value.get("radiusX"), "radiusX") * width, number(value.get("radiusY"), "radiusY") * height
        return ellipse((x, y), radii, degrees)
    right = x + number(value.get("width"), "width") * width
    bottom = y + number(value.get("height"), "height") * height
    return rectangle((x, y, right, bottom), degrees, (x, y)) if degrees % 360 else (x, y, right, bottom)


def _bytes(value: Mapping[str, Any]) -> bytes:
    try:
        return bytes(_list(value.get("rle"), "rle"))
    except (TypeError, ValueError):
        raise DataError("the rle of a brush is no list of numbers from 0 to 255") from None


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{what} is {kind_of(value)}, and an object {{...}} is expected")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise DataError(f"{what} is {kind_of(value)}, and a list is expected")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise DataError(f"{what} is {kind_of(value)}, and a name is expected")
    return value


def _name_of(task: object, position: int) -> str:
    id_ = task.get("id") if isinstance(task, dict) else None
    return str(id_) if isinstance(id_, int) else f"number {position + 1}"


def _write_example(root: Path) -> None:
    make_folder(root / "images")
    tasks = []
    for index, (image, _) in enumerate(scenes(4)):
        write_image(root / "images" / f"{index}.png", image)
        disc = {"x": 100 * (22 - index) / SIZE, "y": 100 * 22 / SIZE, "radiusX": 18.0, "radiusY": 18.0, "rotation": 0}
        left, top = 100 * 4 / SIZE, 100 * (4 + index) / SIZE
        right, bottom = left + 31.25, top + 25.0
        square = {"points": [[left, top], [right, top], [right, bottom], [left, bottom]]}
        bar = {"x": 60.0, "y": 5.0, "width": 30.0, "height": 9.0, "rotation": 20}
        corners = {"points": [[15.0, 70.0], [30.0, 72.0], [22.0, 90.0]]}
        regions: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("ellipse", "disc", disc),
            ("polygon", "square", square),
            ("rectangle", "bar", bar),
            ("polygon", "bar", corners),
        )
        results: list[dict[str, Any]] = [
            {
                "id": f"region{number_}",
                "type": f"{kind}labels",
                "value": {**value, f"{kind}labels": [label]},
                "original_width": SIZE,
                "original_height": SIZE,
                "image_rotation": 0,
            }
            for number_, (kind, label, value) in enumerate(regions)
        ]
        results.append({"id": "kind", "type": "choices", "value": {"choices": ["even" if index % 2 == 0 else "odd"]}})
        tasks.append(
            {
                "id": index + 1,
                "data": {"image": f"/data/upload/1/{index:08x}-{index}.png"},
                "annotations": [{"id": index + 1, "result": results, "was_cancelled": False}],
                "predictions": [],
            }
        )
    write_atomically(root / "export.json", json.dumps(tasks, indent=1).encode())
