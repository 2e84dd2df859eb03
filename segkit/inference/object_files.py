"""Boxes and objects of one image as files: ids, tables, pictures. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.data.csv_table import format_table
from segkit.data.image_io import write_image, write_mask
from segkit.errors import OutputError
from segkit.inference.results import CombinedResult, DetectionResult, InstanceResult
from segkit.ops.files import make_folder, write_atomically

MOST_OBJECTS = 2**16 - 1
"""A 16-bit image numbers no more."""


class Place(Protocol):
    """Where the results of one image go."""

    @property
    def file(self) -> Path:
        """What the tables call the image."""
        ...

    @property
    def out(self) -> Path:
        """The folder of all results."""
        ...

    @property
    def name(self) -> str:
        """Of the results, without suffix."""
        ...

    @property
    def overlay(self) -> bool:
        """Whether a picture is drawn as well."""
        ...


def write_objects(
    place: Place, result: CombinedResult | DetectionResult | InstanceResult, image: NDArray[Any], threshold: float
) -> list[Mapping[str, Any]]:
    """Write what a prediction holds: `masks/`, `instances/` (16-bit ids), tables in `objects/` and `boxes/`, overlays.

    Boxes with a score of at least `threshold` are written. Returns the rows of the summary: image, head, class, and
    how many objects, pixels or what probability it has. Raises `OutputError`.
    """
    combined = _combined(result).above(threshold)
    rows: list[Mapping[str, Any]] = []
    if combined.segment is not None:
        write_mask(_file(place, "masks", "png"), combined.segment.mask, combined.segment.classes)
        rows += [_row(place, "segment", name, area) for name, area in combined.segment.areas().items()]
    if combined.instances is not None:
        _write_ids(_file(place, "instances", "png"), combined.instances.ids)
        _write_table(_file(place, "objects", "csv"), combined.instances.to_table(image))
        rows += _counts(place, "instances", combined.instances)
    if combined.detect is not None:
        _write_table(_file(place, "boxes", "csv"), combined.detect.to_table())
        rows += _counts(place, "detect", combined.detect)
    if combined.classify is not None:
        rows += [_row(place, "classify", name, round(share, 6)) for name, share in combined.classify.top(5)]
    if place.overlay:
        write_image(_file(place, "overlays", "png"), combined.draw(image))
    return rows


def coco_document(
    images: Sequence[tuple[str, DetectionResult | InstanceResult]],
) -> bytes:
    """The boxes or objects of images, by their file names, as one COCO file."""
    annotations: list[dict[str, Any]] = []
    listed = []
    for number, (name, result) in enumerate(images, start=1):
        size = result.size if isinstance(result, DetectionResult) else result.ids.shape
        listed.append({"id": number, "file_name": name, "height": size[0], "width": size[1]})
        annotations += result.to_coco(number, len(annotations) + 1)
    classes = images[0][1].classes
    named = zip(classes.ids, classes.names, strict=True)
    categories = [{"id": id_, "name": name} for id_, name in named]
    document = {"images": listed, "annotations": annotations, "categories": categories}
    return (json.dumps(document, ensure_ascii=False) + "\n").encode()


def _combined(result: CombinedResult | DetectionResult | InstanceResult) -> CombinedResult:
    if isinstance(result, DetectionResult):
        return CombinedResult(detect=result)
    return CombinedResult(instances=result) if isinstance(result, InstanceResult) else result


def _file(place: Place, kind: str, suffix: str) -> Path:
    path = place.out / kind / f"{place.name}.{suffix}"
    make_folder(path.parent)
    return path


def _row(place: Place, head: str, name: str, amount: float) -> dict[str, Any]:
    return {"image": place.file, "class": name, "head": head, "amount": amount}


def _counts(place: Place, head: str, result: DetectionResult | InstanceResult) -> list[dict[str, Any]]:
    """How many objects each class of objects has."""
    return [
        _row(place, head, result.classes.names[index], int((result.labels == index).sum()))
        for index in result.classes.foreground
    ]


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(rows[0]) if rows else ["class", "score"]
    write_atomically(path, format_table(columns, [list(row.values()) for row in rows]))


def _write_ids(path: Path, ids: NDArray[np.int32]) -> None:
    if ids.max(initial=0) > MOST_OBJECTS:
        raise OutputError(
            f"{path}: {ids.max()} objects are more than a 16-bit image numbers; predict parts of the image"
        )
    write_atomically(path, cv2.imencode(".png", ids.astype(np.uint16))[1].tobytes())
