"""What is predicted and written in one go: an image, or a volume slice by slice."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import write_image, write_mask
from segkit.data.readers._base import suffix_of
from segkit.data.volume_io import TIFF_SUFFIXES, write_volume
from segkit.errors import SegkitError
from segkit.inference.image_parts import OpenImage
from segkit.inference.items import Item, VolumeItem
from segkit.inference.large import Advance, Tell, write_large_mask
from segkit.inference.large_memory import require_room
from segkit.inference.object_table import ObjectTable
from segkit.inference.output_names import output_names, paths_below
from segkit.inference.predictor import Predictor
from segkit.inference.results import (
    ClassificationResult,
    CombinedResult,
    DetectionResult,
    InstanceResult,
    Result,
    SegmentationResult,
    Uncertainty,
)
from segkit.inference.review import Review
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import TaskName

Row = Mapping[str, Any]
"""One row of the summary."""

PICTURES = ("instances", "overlays", "uncertainty", "disagreement")
"""Folders of `.png` files that there may be besides the masks."""

MOST_OBJECTS = 2**16 - 1
"""A 16-bit image numbers no more."""


@dataclass(frozen=True)
class Job:
    """One image or volume, and where its results go.

    Attributes:
        item: what is predicted.
        out: the folder of all results.
        name: of its results, without suffix.
        path: what tables of objects call it: its path below the folder that all inputs have in common.
        overlay: whether results are drawn over the image as well.
        probabilities: whether the probabilities of the mask's classes are written as well.
        review: takes how unsure the network is, which is drawn as well; None: nobody asked.
    """

    item: Item
    out: Path
    name: str
    path: str
    overlay: bool
    probabilities: bool
    review: Review | None = None

    @property
    def file(self) -> Path:
        """What the summary calls it."""
        return self.item.name

    @property
    def mask_file(self) -> Path:
        """A volume's mask is a volume: NIfTI, or a TIFF stack for a TIFF stack."""
        suffix = ".png"
        if isinstance(self.item, VolumeItem):
            own = suffix_of(self.item.path)
            suffix = ".tif" if own in TIFF_SUFFIXES else own if own == ".nii" else ".nii.gz"
        return self.out / "masks" / f"{self.name}{suffix}"

    @property
    def targets(self) -> tuple[Path, ...]:
        """The files that could stand where an input does."""
        further = (("masks", "tif"), ("probabilities", "npz"), *((kind, "png") for kind in PICTURES))
        return self.mask_file, *(self._target(kind, self.name, suffix) for kind, suffix in further)

    def run(
        self, predictor: Predictor, tables: Mapping[TaskName, ObjectTable], advance: Advance, tell: Tell
    ) -> list[Row]:
        """Predict, write the results, and return the rows of the summary.

        Args:
            predictor: of a volume one that segments.
            tables: take the boxes and the objects.
            advance: hears of what is done of a large image.
            tell: is told how a large image is predicted.
        """
        if isinstance(self.item, VolumeItem):
            sides = list(self.item.grid.shape)
            slices, height, width = sides.pop(self.item.axis), *sides
            rows = self._run_volume(self.item, predictor)
            return [{**row, "width": width, "height": height, "slices": slices} for row in rows]
        with self.item.open() as image:
            height, width = image.size
            if image.is_large:
                require_room(predictor, image, self.overlay, self.probabilities, self.review is not None)
            if image.is_large and predictor.heads.keys() == {"segment"}:
                path = self._target("masks", self.name, "tif")
                counts = write_large_mask(predictor, image, self.item.files, path, advance, tell)
                named = zip(predictor.classes.names, predictor.classes.ids, strict=True)
                rows = self._areas({name: int(counts[class_id]) for name, class_id in named})
            else:
                rows = self._run_image(image, predictor, tables)
            return [{**row, "width": width, "height": height} for row in rows]

    def _run_image(self, image: OpenImage, predictor: Predictor, tables: Mapping[TaskName, ObjectTable]) -> list[Row]:
        """An image whose results are in memory as a whole; itself only where something is measured or drawn in it."""
        whole = image.whole() if self.overlay or "instances" in predictor.heads else None
        shown = image.values if whole is None else whole
        result = predictor.predict(shown, self.probabilities, image.spacing, self.review is not None)
        threshold = predictor.pipeline.objects.threshold
        rows = self._write(result, whole, tables, threshold)
        if self.overlay and whole is not None:
            self._write_overlay(self.name, result, whole, threshold)
        return rows

    def _write(
        self,
        result: Result | CombinedResult,
        image: NDArray[Any] | None,
        tables: Mapping[TaskName, ObjectTable],
        least: float,
    ) -> list[Row]:
        """Write what each head says, boxes with a score of `least` and more; of an image objects are measured in it."""
        match result:
            case CombinedResult():
                parts = {task: part for task, part in vars(result).items() if part is not None}
                rows = [(task, row) for task, part in parts.items() for row in self._write(part, image, tables, least)]
                return [_with_head(task, row) for task, row in rows]
            case ClassificationResult():
                best_first = result.top(len(result.names))
                self._review(self.name, self.file, "classify", result.uncertainty)
                return [
                    {"image": self.file, "class": name, "probability": f"{share:.6f}"} for name, share in best_first
                ]
            case SegmentationResult():
                make_folder(self.mask_file.parent)
                write_mask(self.mask_file, result.mask, result.classes)
                self._write_probabilities(self.name, result)
                self._review(self.name, self.file, "segment", result.uncertainty)
                return self._areas(result.areas())
            case InstanceResult():
                _write_ids(self._target("instances", self.name, "png"), result.ids)
                tables["instances"].add(self.path, result, image)
                return self._counts(result)
            case DetectionResult():
                shown = result.above(least)
                tables["detect"].add(self.path, shown)
                return self._counts(shown)

    def _run_volume(self, volume: VolumeItem, predictor: Predictor) -> list[Row]:
        mask = np.empty(volume.grid.shape, predictor.classes.id_dtype)
        for position, image in enumerate(item.image() for item in volume.slices):
            result = predictor.segment(image, self.probabilities, self.review is not None)
            np.moveaxis(mask, volume.axis, 0)[position] = result.mask
            name = f"{self.name}/{volume.slices[position].name.stem}"
            self._write_probabilities(name, result)
            self._review(name, volume.slices[position].name, "segment", result.uncertainty)
            if self.overlay:
                self._write_overlay(name, result, image)
        make_folder(self.mask_file.parent)
        write_volume(self.mask_file, mask, volume.grid, volume.path)
        return self._areas(SegmentationResult(mask, predictor.classes).areas())

    def _write_overlay(
        self, name: str, result: Result | CombinedResult, image: NDArray[Any], least: float = 0.0
    ) -> None:
        shown = result.above(least) if isinstance(result, DetectionResult | CombinedResult) else result
        path = self._target("overlays", name, "png")
        make_folder(path.parent)
        write_image(path, shown.draw(image))

    def _write_probabilities(self, name: str, result: SegmentationResult) -> None:
        if result.probabilities is not None:
            path = self._target("probabilities", name, "npz")
            make_folder(path.parent)
            write_atomically(path, _npz(probabilities=result.probabilities, classes=result.classes.names))

    def _review(self, name: str, image: Path, head: TaskName, found: Uncertainty | None) -> None:
        """Have the review take how unsure the network is; of a mask draw it, black where it is sure."""
        if self.review is None or found is None:
            return
        self.review.add(image, head, found)
        for kind, values in (("uncertainty", found.entropy), ("disagreement", found.disagreement)):
            if values is not None and values.ndim:
                path = self._target(kind, name, "png")
                make_folder(path.parent)
                write_image(path, np.rint(values.clip(0, 1) * 255).astype(np.uint8))

    def _target(self, kind: str, name: str, suffix: str) -> Path:
        return self.out / kind / f"{name}.{suffix}"

    def _areas(self, areas: Mapping[str, int]) -> list[Row]:
        whole = sum(areas.values())
        return [
            {"image": self.file, "class": name, "pixels": pixels, "share": f"{pixels / whole:.6f}"}
            for name, pixels in areas.items()
        ]

    def _counts(self, result: DetectionResult | InstanceResult) -> list[Row]:
        """How many objects there are of each class, and their mean score."""
        classes = result.classes
        scores = {index: result.scores[result.labels == index] for index in classes.foreground}
        return [
            {
                "image": self.file,
                "class": classes.names[index],
                "objects": len(found),
                "score": f"{found.mean():.4f}" if len(found) else None,
            }
            for index, found in scores.items()
        ]


def make_jobs(
    items: Sequence[Item], out: Path, overlay: bool, probabilities: bool, review: Review | None = None
) -> list[Job]:
    """One job per image or volume; the arguments are the attributes of `Job`."""
    files = [item.name for item in items]
    named = zip(items, output_names(files).values(), paths_below(files).values(), strict=True)
    return [Job(item, out, name, path, overlay, probabilities, review) for item, name, path in named]


def _with_head(task: str, row: Row) -> Row:
    """The row with the head it comes from, after image and class."""
    return {"image": row["image"], "class": row["class"], "head": task, **row}


def _write_ids(path: Path, ids: NDArray[np.int32]) -> None:
    """Write the numbers of objects as a 16-bit image; raises `SegkitError` where they are too many."""
    if ids.max(initial=0) > MOST_OBJECTS:
        raise SegkitError(
            f"{ids.max()} objects are more than the {MOST_OBJECTS} that a 16-bit image numbers; predict parts of it"
        )
    make_folder(path.parent)
    write_atomically(path, cv2.imencode(".png", ids.astype(np.uint16))[1].tobytes())


def _npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()
