"""How large the objects of a data set are, measured on a bounded number of its masks."""

from __future__ import annotations

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

Area = tuple[str, float]
"""Name of a class, and the pixels of one of its objects."""


@dataclass(frozen=True)
class ObjectSizes:
    """Areas of objects in pixels.

    Attributes:
        areas: class name -> the area of every object, ascending; classes without objects are left out.
        measured: images looked at.
        images: images there are.
    """

    areas: Mapping[str, Sequence[float]]
    measured: int
    images: int

    def summary(self) -> dict[str, Any]:
        """JSON-ready: `measured`, and per class the number of objects with their smallest, median and largest area."""
        classes = {
            name: {"objects": len(of), "smallest": of[0], "median": float(median(of)), "largest": of[-1]}
            for name, of in self.areas.items()
        }
        return {"measured": self.measured, "classes": classes}


def measure_objects(dataset: OpenDataset) -> ObjectSizes:
    """Measure every object of the foreground classes: marked ones as marked, numbered ones by number, others as
    connected pixels of one class (8 neighbours).

    Images whose mask cannot be used are left out; a set to classify has no objects.
    """
    areas: dict[str, list[float]] = {dataset.classes.names[index]: [] for index in dataset.classes.foreground}
    records = [record for record in dataset.records if record.mask is not None or record.annotation is not None]
    chosen = _evenly(records, dataset) if dataset.task != "classify" else []
    for record in chosen:
        for name, area in _areas_of(record, dataset):
            if name in areas:
                areas[name].append(area)
    found = {name: sorted(values) for name, values in areas.items() if values}
    return ObjectSizes(found, len(chosen), len(records))


def _evenly(records: Sequence[Record], dataset: OpenDataset) -> Sequence[Record]:
    if not records:
        return ()
    pixels = mean(float(np.prod(dataset.facts.images[record.id].size)) for record in records)
    most = max(1, min(MEASURED_MASKS, int(MEASURED_PIXELS / max(1.0, pixels))))
    return records[:: max(1, -(-len(records) // most))]


def _areas_of(record: Record, dataset: OpenDataset) -> Iterator[Area]:
    classes, facts = dataset.classes, dataset.facts.masks.get(record.id)
    if record.mask is None:
        yield from _marked(record, dataset.facts.images[record.id].size)
    elif isinstance(record.mask, Path) and classes.other is not None and facts is not None:
        yield from _numbered(facts, classes)
    else:
        yield from _connected(record, classes)


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
