"""CVAT for images 1.1: one XML file with the shapes of every image.

Format: https://docs.cvat.ai/docs/other/xml_format/. Coordinates are pixels from the image's upper left corner. Shapes
are painted by `z_order`, in the file's order where it is equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from segkit.data.findings import shown
from segkit.data.formats._base import FORMATS, Listing
from segkit.data.formats._folders import SPLITS
from segkit.data.formats._image_search import ImageSearch
from segkit.data.formats._marked import Export, MarkedImage, list_marked, marked, masks_beside
from segkit.data.formats._shapes import ellipse, image_size, number, pasted, polygon, rectangle, unpacked
from segkit.data.formats._xml import begins_with, read_xml
from segkit.data.image_io import write_image
from segkit.errors import DataError, UnreadableFileError
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import Box, Color, ObjectAnnotation, Polygons, RunLengths, TaskName

_FLAT = frozenset({"polyline", "points", "cuboid", "skeleton"})
"""Shapes that cover no area of the image."""


@FORMATS.register("cvat")
class Cvat:
    """`annotations.xml` with `images/` beside it: boxes, polygons, ellipses, masks, and tags of whole images.

    The subsets called train, validation or test are the parts. Polylines, points, cuboids and skeletons are left out.
    """

    rank: ClassVar[int] = 0

    def recognises(self, root: Path) -> bool:
        """Whether `root` is CVAT's XML file, or a folder with exactly one and no masks in files."""
        if root.is_file():
            return root.suffix.lower() == ".xml" and begins_with(root, "annotations")
        return len(_exports(root)) == 1 and not masks_beside(root)

    def list(self, root: Path, task: TaskName | None = None) -> Listing:
        """List the records.

        Raises:
            DataError: no CVAT file or several, or one without any shape or tag.
            UnreadableFileError: a file that is not CVAT's.
        """
        exports = [root] if root.is_file() else _exports(root)
        if len(exports) != 1:
            found = ", ".join(file.name for file in exports) or "none"
            raise DataError(f"{root} needs one XML file of CVAT (annotations.xml) and has {found}; name one of them")
        return list_marked(root, _read(exports[0], root), task)

    def example(self, root: Path) -> None:
        """Four images of two subsets with a box, a polygon, an ellipse and a mask."""
        _write_example(root)


def _exports(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return [path for path in sorted(root.glob("*.xml")) if begins_with(path, "annotations")]


def _read(path: Path, root: Path) -> Export:
    tree = read_xml(path, "annotations")
    if tree.find("track") is not None:
        raise UnreadableFileError(path, "it is CVAT for video; export the task as 'CVAT for images 1.1' instead")
    labels = [(name, _color(label)) for label in tree.iterfind("meta//labels/label") if (name := _text(label, "name"))]
    names = dict(labels)
    export = Export("CVAT for images", str(path), names=tuple(names))
    if all(names.values()):
        export.colors = tuple(color for color in names.values() if color is not None)
    search = ImageSearch(path.parent)
    for image in tree.iterfind("image"):
        try:
            export.images.append(_image(image, path, search, export))
        except DataError as error:
            export.broken[f"{shown(path, root)}, image {image.get('name', '')!r}"] = str(error)
    return export


def _image(image: Element, path: Path, search: ImageSearch, export: Export) -> MarkedImage:
    name, subset = image.get("name", ""), image.get("subset", "")
    if not name:
        raise DataError("an image has no name")
    size = image_size(image.get("height"), image.get("width"))
    drawn: list[tuple[float, ObjectAnnotation]] = []
    for element in image:
        shape = None if element.tag == "tag" else _shape(element, size)
        if shape is not None:
            height = number(element.get("z_order", "0"), "z_order")
            drawn.append((height, marked(_label(element), shape)))
        elif element.tag != "tag":
            export.left_out[element.tag] += 1
    file = search.find(name, path.parent / "images", (subset,)) or path.parent / "images" / name
    return MarkedImage(
        id=search.id_of(file),
        image=file,
        source=path,
        objects=tuple(one for _, one in sorted(drawn, key=lambda pair: pair[0])),
        size=size,
        labels=tuple(dict.fromkeys(_label(tag) for tag in image.iterfind("tag"))),
        split=SPLITS.get(subset.lower()),
    )


def _shape(element: Element, size: tuple[int, int]) -> Polygons | RunLengths | Box | None:
    """The shape of an element; None where it covers no area. Raises `DataError` for wrong numbers."""
    if element.tag in _FLAT:
        return None
    degrees = number(element.get("rotation", "0"), "rotation")
    if element.tag == "box":
        left, top, right, bottom = (_number(element, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        box = (left, top, right, bottom)
        return rectangle(box, degrees) if degrees % 360 else box
    if element.tag == "ellipse":
        x, y, rx, ry = (_number(element, key) for key in ("cx", "cy", "rx", "ry"))
        return ellipse((x, y), (rx, ry), degrees)
    if element.tag == "polygon":
        return polygon([corner.split(",") for corner in element.get("points", "").split(";") if corner.strip()])
    if element.tag == "mask":
        left, top, width, height = (_number(element, key) for key in ("left", "top", "width", "height"))
        runs = [_whole(text) for text in element.get("rle", "").split(",")]
        image_size(height, width)
        return pasted(unpacked(runs, int(height), int(width)), int(left), int(top), size)
    raise DataError(f"<{element.tag}> is no shape of CVAT for images 1.1")


def _label(element: Element) -> str:
    label = element.get("label", "")
    if not label:
        raise DataError(f"a <{element.tag}> has no label")
    return label


def _number(element: Element, key: str) -> float:
    return number(element.get(key), f"{key} of a <{element.tag}>")


def _whole(text: str) -> int:
    if not text.strip().isascii() or not text.strip().isdigit():
        raise DataError(f"a run of a mask is {text[:40]!r}, and a whole number is expected")
    return int(number(text, "a run of a mask"))


def _text(element: Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def _color(label: Element) -> Color | None:
    """The colour `#rrggbb` of a label."""
    text = _text(label, "color").removeprefix("#")
    try:
        red, green, blue = bytes.fromhex(text)
    except ValueError:
        return None
    return red, green, blue


def _write_example(root: Path) -> None:
    make_folder(root / "images")
    tree = Element("annotations")
    SubElement(tree, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(tree, "meta"), "task"), "labels")
    for name, color in (("cell", "#00ff00"), ("nucleus", "#0000ff")):
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        SubElement(label, "color").text = color
    for number_, shapes in enumerate(_example_shapes()):
        subset = "Validation" if number_ == 3 else "Train"
        facts = {"id": str(number_), "name": f"{number_}.png", "subset": subset, "width": "40", "height": "30"}
        image = SubElement(tree, "image", facts)
        for kind, attributes in shapes:
            SubElement(image, kind, attributes)
        pixels = np.random.default_rng(number_).integers(0, 255, (30, 40), np.uint8)
        write_image(root / "images" / f"{number_}.png", pixels)
    write_atomically(root / "annotations.xml", tostring(tree, "utf-8", xml_declaration=True))


def _example_shapes() -> Iterator[list[tuple[str, dict[str, str]]]]:
    for shift in range(4):
        outline = f"{4 + shift}.0,4.0;30.0,5.0;28.0,25.0;5.0,24.0"
        yield [
            ("ellipse", {"label": "nucleus", "cx": "15", "cy": "14", "rx": "5", "ry": "4", "z_order": "1"}),
            ("polygon", {"label": "cell", "points": outline, "z_order": "0"}),
            ("mask", {"label": "cell", "rle": "1,2,2,2,1", "left": "33", "top": "2", "width": "4", "height": "2"}),
            ("box", {"label": "cell", "xtl": "32.5", "ytl": "20", "xbr": "38.5", "ybr": "27"}),
            ("points", {"label": "nucleus", "points": "1.0,1.0"}),
        ]
