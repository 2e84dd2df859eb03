"""What a data set looks like in numbers: enough to normalize images, to describe a model's training data, and to know
its images again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from segkit.data.facts import ImageFacts, class_pixels
from segkit.data.normalization import measure_foreground, measure_intensities
from segkit.data.opening import OpenDataset
from segkit.structures import MASKED, PARTS, Progress


def fingerprint(dataset: OpenDataset, foreground: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Measure an opened data set from its facts; reads no file unless `foreground` is asked for.

    Args:
        dataset: the data set.
        foreground: whether the values of the training images' foreground, which `--normalization ct` needs, are
            measured as well, as `foreground` of the `intensities`.
        progress: told about every training image read for that.

    Returns:
        JSON-ready values:

        - `images`, `groups`: number per part (`groups` only where images have groups);
        - `sizes`: smallest, median and largest height and width in pixels;
        - `dtypes`, `channels`: number of images of each;
        - `class_pixels`, `class_images`: per part and class name; labels of classification count as images;
        - `spacing`: smallest, median and largest distance of rows and of columns in mm, and the `images` that state
          it; only where some do;
        - `intensities`: see `segkit.data.normalization.measure_intensities`; from the training part only, None where
          that is empty or its images have different numbers of channels;
        - `hashes`: per part the `pixel_hash` of every image.
    """
    parts = {part: dataset.split(part) for part in PARTS}
    images = {part: [dataset.facts.images[record.id] for record in records] for part, records in parts.items()}
    everything = [image for part in PARTS for image in images[part]]
    described: dict[str, Any] = {
        "images": {part: len(records) for part, records in parts.items()},
        "groups": {part: len({record.unit for record in records}) for part, records in parts.items()},
        "sizes": _sizes(everything),
        "dtypes": dict(Counter(image.dtype for image in everything)),
        "channels": {
            str(channels): number for channels, number in Counter(image.channels for image in everything).items()
        },
        **_spacing(everything),
        **_class_counts(dataset),
        "intensities": None,
        "hashes": {part: [image.pixel_hash for image in found] for part, found in images.items()},
    }
    if len({len(image.mean) for image in images["train"]}) == 1:
        units = [record.unit for record in parts["train"]]
        described["intensities"] = measure_intensities(images["train"], units)
    if foreground and images["train"]:
        convert = dataset.config.channels
        described["intensities"]["foreground"] = measure_foreground(parts["train"], dataset.classes, convert, progress)
    if dataset.unit == "image":
        del described["groups"]
    return described


def _sizes(images: Sequence[ImageFacts]) -> dict[str, list[float]]:
    return _extent([image.size for image in images])


def _spacing(images: Sequence[ImageFacts]) -> dict[str, dict[str, Any]]:
    stated = [image.spacing for image in images if image.spacing is not None]
    return {"spacing": {**_extent(stated), "images": len(stated)}} if stated else {}


def _extent(pairs: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    """Smallest, median and largest of the first and of the second of pairs."""
    sides = list(zip(*pairs, strict=True))
    return {
        name: [float(of(side)) for side in sides]
        for name, of in (("smallest", min), ("median", median), ("largest", max))
    }


def _class_counts(dataset: OpenDataset) -> dict[str, dict[str, dict[str, int]]]:
    names = dataset.classes.names
    pixels = {part: dict.fromkeys(names, 0) for part in PARTS}
    images = {part: dict.fromkeys(names, 0) for part in PARTS}
    for part in PARTS:
        for record in dataset.split(part):
            for label in record.labels(dataset.task):
                images[part][label] += 1
            if record.id in dataset.facts.masks:
                for index, number in class_pixels(dataset.facts.masks[record.id], dataset.classes).items():
                    pixels[part][names[index]] += number
                    images[part][names[index]] += 1
    return {"class_pixels": pixels, "class_images": images} if dataset.task in MASKED else {"class_images": images}
