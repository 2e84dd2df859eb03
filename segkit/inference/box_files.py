"""Boxes of many images as the files that other tools read. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from numpy.typing import NDArray

from segkit.data.formats._yolo_labels import label_lines
from segkit.data.image_io import write_image
from segkit.inference.object_table import FIRST_COLUMNS, ObjectTable
from segkit.inference.output_folder import claim, refuse_to_overwrite, write_errors
from segkit.inference.output_names import output_names, paths_below
from segkit.inference.results import DetectionResult
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import ClassMap, ObjectAnnotation

BoxFormat = Literal["coco", "yolo", "csv"]

NAME = "boxes"
"""Of the table, and of the COCO file."""

_NAMES = ("boxes.json", "labels", "data.yaml", "overlays")


class Found(NamedTuple):
    """The boxes in an image, and its pixels (H, W, C)."""

    file: Path
    image: NDArray[Any]
    result: DetectionResult


class BoxFiles:
    """A folder of boxes: `boxes.csv`, and what a format asks for besides.

    `coco` adds `boxes.json`, `yolo` a file `labels/NAME.txt` per image and `data.yaml`; beside a folder `images` with
    the images either is a data set. With `overlay` there is also `overlays/NAME.png`. NAME follows from `output_names`.

    Args:
        out: the folder.
        layout: the format.
        images: all images that will come.
        classes: of the boxes.
        overlay: whether boxes are drawn over the images.

    Raises:
        UsageError: the folder holds such files of somebody else, or a picture would overwrite an image.
        OutputError: the folder cannot be written to.
    """

    def __init__(
        self, out: Path, layout: BoxFormat, images: Sequence[Path], classes: ClassMap, overlay: bool = False
    ) -> None:
        self._out, self._layout, self._classes, self._overlay = out, layout, classes, overlay
        self._table = ObjectTable(NAME, classes)
        self._names, self._paths = output_names(images), paths_below(images)
        refuse_to_overwrite(images, [out / "overlays" / f"{name}.png" for name in self._names.values()])
        claim(out, "segkit detect", f"{NAME}.csv", FIRST_COLUMNS, _NAMES)

    def write(self, found: Iterable[Found], errors: Mapping[Path, str]) -> None:
        """Write image after image, and at the end, or where the work is interrupted, the tables.

        `errors`, file -> why it has no boxes, may grow while images come; they stand in `errors.csv`. Raises
        `OutputError` when the disk is full, for example.
        """
        try:
            for one in found:
                self._table.add(self._paths[one.file], one.result)
                self._write_image(one)
        finally:
            self._table.write_table(self._out)
            write_errors(self._out, errors)
            if self._layout == "coco":
                self._table.write_coco(self._out)
            if self._layout == "yolo":
                content = {"path": ".", "train": "images", "names": dict(enumerate(self._classes.names))}
                write_atomically(self._out / "data.yaml", yaml.safe_dump(content, sort_keys=False).encode())

    def _write_image(self, one: Found) -> None:
        name = self._names[one.file]
        if self._layout == "yolo":
            labels = self._out / "labels" / f"{name}.txt"
            make_folder(labels.parent)
            write_atomically(labels, _yolo_lines(one.result).encode())
        if self._overlay:
            picture = self._out / "overlays" / f"{name}.png"
            make_folder(picture.parent)
            write_image(picture, one.result.draw(one.image))


def _yolo_lines(result: DetectionResult) -> str:
    """YOLO's lines, which have no place for scores: with a sixth value the boxes would be read as no boxes."""
    numbers = {name: index for index, name in enumerate(result.classes.names)}
    objects = [
        ObjectAnnotation(name, tuple(corners))
        for name, corners in zip(result.names, result.corners.tolist(), strict=True)
    ]
    return "".join(f"{line}\n" for line in label_lines(objects, numbers, result.size, with_outlines=False))
