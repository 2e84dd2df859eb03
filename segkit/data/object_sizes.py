"""How many objects a data set has and how large they are, as far as masks must be read on a bounded number of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np

from segkit.data.drawing import draw_region
from segkit.data.facts import MaskFacts
from segkit.data.opening import OpenDataset
from segkit.data.samples import load_sample
from segkit.errors import SegkitError
from segkit.structures import ClassMap, Record

MEASURED_MASKS = 200
MEASURED_PIXELS = 100_000_000
"""Most masks, and most pixels of them, that are read, evenly spread over larger sets."""

LARGEST_MASK = 2**25
"""Pixels of the largest mask in which objects are looked for: each takes some thirty bytes."""

Area = tuple[str, float]
"""Name of a class, and the pixels of one of its objects."""


@dataclass(frozen=True)
class ObjectSizes:
    """Objects and their areas in pixels.

    Attributes:
        areas: class name -> the area of every measured object, ascending; classes without are left out.
        objects: class name -> the number of objects in the images that were counted, but for ignored ones; likewise.
        measured: images in which objects were measured.
        counted: images in which objects were counted: marked objects are in all images, measured or not.
        images: images there are.
    """

    areas: Mapping[str, Sequence[float]]
    objects: Mapping[str, int]
    measured: int
    counted: int
    images: int

    def summary(self) -> dict[str, Any]:
        """JSON-ready: `measured`, `counted`, `images`, and per class the number of objects with the smallest, median
        and largest area of those measured; None where none was.
        """
        classes: dict[str, dict[str, float | None]] = {}
        for name, number in self.objects.items():
            of = self.areas.get(name)
            sizes = (of[0], float(median(of)), of[-1]) if of else (None, None, None)
            classes[name] = {"objects": number, **dict(zip(("smallest", "median", "largest"), sizes, strict=True))}
        return {"measured": self.measured, "counted": self.counted, "images": self.images, "classes": classes}


def measure_objects(dataset: OpenDataset) -> ObjectSizes:
    """Measure the objects of the foreground classes: marked ones as marked, numbered ones by number, others as
    connected pixels of one class (8 neighbours).

    Marked ones are counted in every image, and boxes and numbers measured in every one; outlines and connected pixels
    in some, see `MEASURED_MASKS`. Images whose mask cannot be used are left out; a set to classify has no objects.
    """
    records = [record for record in dataset.records if record.mask is not None or record.annotation is not None]
    if dataset.task == "classify":
        return ObjectSizes({}, {}, 0, 0, len(records))
    known = [record for record in records if not _must_be_read(record, dataset)]
    chosen = [*known, *_evenly([record for record in records if _must_be_read(record, dataset)], dataset)]
    areas: dict[str, list[float]] = {dataset.classes.names[index]: [] for index in dataset.classes.foreground}
    objects: Counter[str] = Counter()
    for record in chosen:
        found = [(name, area) for name, area in _areas_of(record, dataset) if name in areas]
        for name, area in found:
            areas[name].append(area)
        objects.update(name for name, _ in found if record.mask is not None)
    marked = [record.annotation for record in records if record.mask is None and record.annotation is not None]
    objects.update(one.label for annotation in marked for one in annotation.objects if not one.ignored)
    return ObjectSizes(
        areas={name: sorted(values) for name, values in areas.items() if values},
        objects={name: objects[name] for name in areas if objects[name]},
        measured=len(chosen),
        counted=len(marked) + sum(record.mask is not None for record in chosen),
        images=len(records),
    )


def _must_be_read(record: Record, dataset: OpenDataset) -> bool:
    """Whether areas are known only after a mask is read, or outlines are filled."""
    if record.mask is not None:
        return not _is_numbered(record, dataset)
    return record.annotation is not None and any(one.region is not None for one in record.annotation.objects)


def _is_numbered(record: Record, dataset: OpenDataset) -> bool:
    return isinstance(record.mask, Path) and dataset.classes.other is not None and record.id in dataset.facts.masks


def _evenly(records: Sequence[Record], dataset: OpenDataset) -> Sequence[Record]:
    """So many of the records, evenly spread, that reading their masks stays cheap."""
    pixels = {record.id: int(np.prod(dataset.facts.images[record.id].size)) for record in records}
    readable = [record for record in records if pixels[record.id] <= LARGEST_MASK]
    if not readable:
        return ()
    usual = mean(pixels[record.id] for record in readable)
    most = max(1, min(MEASURED_MASKS, int(MEASURED_PIXELS / max(1.0, usual))))
    return readable[:: max(1, -(-len(readable) // most))]


def _areas_of(record: Record, dataset: OpenDataset) -> Iterator[Area]:
    if record.mask is None:
        yield from _marked(record, dataset.facts.images[record.id].size)
    elif _is_numbered(record, dataset):
        yield from _numbered(dataset.facts.masks[record.id], dataset.classes)
    else:
        yield from _connected(record, dataset.classes)


def _marked(record: Record, size: tuple[int, int]) -> Iterator[Area]:
    """Pixels of the region, else of the box."""
    assert record.annotation is not None
    for one in record.annotation.in_pixels(size).objects:
        if one.region is not None:
            try:
                area = float(draw_region(one.region, size).sum())
            except SegkitError:
                continue
        else:
            left, top, right, bottom = one.box or (0.0, 0.0, 0.0, 0.0)
            area = max(0.0, right - left) * max(0.0, bottom - top)
        if area > 0 and not one.ignored:
            yield one.label, area


def _numbered(facts: MaskFacts, classes: ClassMap) -> Iterator[Area]:
    """Every value that `values` does not name is one object."""
    assert classes.other is not None
    for value, pixels in facts.values.items():
        if value not in classes.values:
            yield classes.names[classes.other], float(pixels)


def _connected(record: Record, classes: ClassMap) -> Iterator[Area]:
    try:
        mask = load_sample(record, classes).mask
    except SegkitError:
        return
    if mask is None:
        return
    shown = np.flatnonzero(np.bincount(mask[mask >= 0].ravel(), minlength=classes.num_classes))
    for index in shown.tolist():
        if index != classes.background:
            stats = cv2.connectedComponentsWithStats((mask == index).astype(np.uint8), connectivity=8)[2]
            yield from ((classes.names[index], float(area)) for area in stats[1:, cv2.CC_STAT_AREA])
