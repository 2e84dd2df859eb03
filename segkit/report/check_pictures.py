"""Small pictures of the files that a finding is about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.data.about import target_file
from segkit.data.findings import Finding, shown
from segkit.data.image_io import read_channels, read_raster
from segkit.data.opening import OpenDataset
from segkit.data.samples import load_sample
from segkit.errors import SegkitError
from segkit.report.gallery import data_uri
from segkit.structures import Box, ClassMap, Color, Record, palette
from segkit.visualization import marked_picture

SHOWN_FILES = 12
THUMBNAIL_SIDE = 240

_LOOKED_AT = 2048
"""Rows and columns, evenly spread, that are looked at of a file that is shown as it lies."""

LARGEST_PICTURE = 2**26
"""Pixels of the largest image that is read again for a picture of it: image and mask take some twenty bytes each."""

FEW_VALUES = 32
"""A file with so many different values at most is shown as a mask."""


@dataclass(frozen=True)
class Thumbnail:
    """One file: its name, its picture as a data URI (None: it cannot be shown), and what else is known of it."""

    name: str
    uri: str | None
    note: str


class FindingPictures:
    """Makes the thumbnails of findings of one data set."""

    def __init__(self, dataset: OpenDataset) -> None:
        self._dataset = dataset
        self._folder = dataset.root if dataset.root.is_dir() else dataset.root.parent

    def of(self, found: Finding) -> list[Thumbnail]:
        """The first `SHOWN_FILES` files; none where a finding names ids, or nothing."""
        return [self._thumbnail(file) for file in found.files[:SHOWN_FILES] if self._is_file(file)]

    @cached_property
    def _records(self) -> dict[str, Record]:
        """Every file a finding may name -> its record."""
        records = {record.id: record for record in self._dataset.listing.records}
        records |= {record.id: record for record in self._dataset.records}  # these know their parts
        by_file = {shown(target_file(record), self._dataset.root): record for record in records.values()}
        return by_file | {shown(record.image, self._dataset.root): record for record in records.values()}

    def _is_file(self, file: str) -> bool:
        return file in self._records or (self._folder / file).is_file()

    def _thumbnail(self, file: str) -> Thumbnail:
        record = self._records.get(file)
        note = "" if record is None else self._note(record)
        if record is not None and not is_shown(record, self._dataset):
            return Thumbnail(file, None, f"{note}, too large for a picture")
        try:
            picture = self._picture(self._folder / file, record)
        except (SegkitError, ValueError):
            return Thumbnail(file, None, note)
        return Thumbnail(file, data_uri(picture), note)

    def _note(self, record: Record) -> str:
        """The part and the size of the image, and that of the mask where it is another."""
        image, mask = self._dataset.facts.images[record.id], self._dataset.facts.masks.get(record.id)
        notes = [record.split or ""]
        if image.error is None:
            notes.append(f"{image.size[1]} × {image.size[0]}")
            if mask is not None and mask.error is None and mask.size != image.size:
                notes.append(f"mask {mask.size[1]} × {mask.size[0]}")
        return ", ".join(filter(None, notes))

    def _picture(self, file: Path, record: Record | None) -> NDArray[np.uint8]:
        """The record's image with its target drawn on it; where that is not possible the file itself."""
        classes = self._dataset.classes
        if record is None:
            return _values_as_colors(file)
        try:
            sample = load_sample(record, classes, self._dataset.task)
            return marked_picture(sample.image, classes, THUMBNAIL_SIDE, sample.mask, self.boxes(record))
        except (SegkitError, ValueError):
            if file != record.image and isinstance(record.mask, Path):
                return _values_as_colors(file)
            image = read_channels(record.image_files).image()
            return marked_picture(image, classes, THUMBNAIL_SIDE, boxes=self.boxes(record))

    def boxes(self, record: Record) -> list[tuple[Box, Color]]:
        """The boxes marked in an image, in its pixels, in the colours of their classes."""
        classes, size = self._dataset.classes, self._dataset.facts.images[record.id].size
        if record.annotation is None or record.mask is not None or size == (0, 0):
            return []
        colors = dict(zip(classes.names, classes.colors, strict=True))
        objects = record.annotation.in_pixels(size).objects
        return [(one.box, colors.get(one.label, (255, 255, 255))) for one in objects if one.box is not None]


def is_shown(record: Record, dataset: OpenDataset) -> bool:
    """Whether an image is small enough to be read again for a picture."""
    height, width = dataset.facts.images[record.id].size
    return height * width <= LARGEST_PICTURE


def _values_as_colors(file: Path) -> NDArray[np.uint8]:
    """An image or mask as it lies; the few different numbers of a mask, too small to see, get colours."""
    image = read_raster(file).image()
    step = max(1, max(image.shape[:2]) // _LOOKED_AT)
    image = np.ascontiguousarray(image[::step, ::step])
    if image.shape[2] == 1:
        values, places = np.unique(image[..., 0], return_inverse=True)
        if len(values) <= FEW_VALUES:
            image = np.asarray(palette(len(values)), np.uint8)[places.reshape(image.shape[:2])]
    return marked_picture(image, ClassMap(("anything",)), THUMBNAIL_SIDE)
