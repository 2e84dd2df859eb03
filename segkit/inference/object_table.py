"""The boxes, or the objects pixel by pixel, of many images: as one table and as one COCO file. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from segkit.inference.output_folder import write_table
from segkit.inference.results import DetectionResult, InstanceResult
from segkit.ops.files import write_atomically
from segkit.structures import ClassMap

FIRST_COLUMNS = ("image", "class", "score")


class ObjectTable:
    """Gathers image after image; what it holds of them takes some hundred bytes per object.

    Args:
        name: of the files, without suffix.
        classes: of the objects.
    """

    def __init__(self, name: str, classes: ClassMap) -> None:
        self._name = name
        self._classes = classes
        self._rows: list[dict[str, Any]] = []
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, image: str, found: DetectionResult | InstanceResult, pixels: NDArray[Any] | None = None) -> None:
        """Take the objects of an image; with its pixels, (H, W) or (H, W, C), their mean intensities as well."""
        if isinstance(found, DetectionResult):
            (height, width), rows = found.size, found.to_table()
        else:
            (height, width), rows = found.ids.shape, found.to_table(pixels)
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": image, "width": width, "height": height})
        self._annotations += found.to_coco(number, len(self._annotations) + 1)
        self._rows += [{"image": image, **row} for row in rows]

    def plain(self) -> dict[str, Any]:
        """What it holds, as values of JSON."""
        return {"rows": self._rows, "images": self._images, "annotations": self._annotations}

    def take(self, plain: Mapping[str, Any]) -> None:
        """Take what another table's `plain` gave; images and objects are numbered on."""
        images, objects = len(self._images), len(self._annotations)
        self._rows += plain["rows"]
        self._images += [{**image, "id": image["id"] + images} for image in plain["images"]]
        self._annotations += [
            {**one, "id": one["id"] + objects, "image_id": one["image_id"] + images} for one in plain["annotations"]
        ]

    def write_table(self, out: Path) -> None:
        """Write `NAME.csv`, a row per object; raises `OutputError`."""
        write_table(out / f"{self._name}.csv", FIRST_COLUMNS, self._rows)

    def write_coco(self, out: Path) -> None:
        """Write `NAME.json`, the images, their objects with scores, and the classes; raises `OutputError`."""
        classes = self._classes
        categories = [{"id": classes.ids[index], "name": classes.names[index]} for index in classes.foreground]
        document = {"images": self._images, "annotations": self._annotations, "categories": categories}
        write_atomically(out / f"{self._name}.json", (json.dumps(document, ensure_ascii=False) + "\n").encode())
