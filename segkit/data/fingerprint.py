"""What a data set looks like in numbers: enough to normalize images, to describe a model's training data, and to know
its images again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from segkit.data.facts import ImageFacts, class_pixels
from segkit.data.opening import OpenDataset
from segkit.structures import PARTS


def fingerprint(dataset: OpenDataset) -> dict[str, Any]:
    """Measure an opened data set from its facts; reads no file.

    Returns:
        JSON-ready values:

        - `images`, `groups`: number per part (`groups` only where images have groups);
        - `sizes`: smallest, median and largest height and width in pixels;
        - `dtypes`, `channels`: number of images of each;
        - `class_pixels`, `class_images`: per part and class name; labels of classification count as images;
        - `intensities`: `low` and `high` in stored values, `mean` and `std` per channel in units of `low`..`high`, as
          `segkit.pipeline.Pipeline` takes them; from the training part only;
        - `hashes`: per part the `pixel_hash` of every image.
    """
    parts = {part: dataset.split(part) for part in PARTS}
    images = {part: [dataset.facts.images[record.id] for record in records] for part, records in parts.items()}
    everything = [image for part in PARTS for image in images[part]]
    described = {
        "images": {part: len(records) for part, records in parts.items()},
        "groups": {part: len({record.unit for record in records}) for part, records in parts.items()},
        "sizes": _sizes(everything),
        "dtypes": dict(Counter(image.dtype for image in everything)),
        "channels": {
            str(channels): number for channels, number in Counter(image.channels for image in everything).items()
        },
        **_class_counts(dataset),
        "intensities": _intensities(images["train"]) if images["train"] else None,
        "hashes": {part: [image.pixel_hash for image in found] for part, found in images.items()},
    }
    if dataset.unit == "image":
        del described["groups"]
    return described


def _sizes(images: Sequence[ImageFacts]) -> dict[str, list[float]]:
    sides = list(zip(*(image.size for image in images), strict=True))
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
            if record.label is not None:
                images[part][record.label] += 1
            if record.id in dataset.facts.masks:
                for index, number in class_pixels(dataset.facts.masks[record.id], dataset.classes).items():
                    pixels[part][names[index]] += number
                    images[part][names[index]] += 1
    return {"class_images": images} if dataset.task == "classify" else {"class_pixels": pixels, "class_images": images}


def _intensities(images: Sequence[ImageFacts]) -> dict[str, Any]:
    """Range, mean and deviation over all training pixels, pooled from those of the images.

    8-bit images keep the range of their type; others take the lowest 0.1 and the highest 99.9 percentile of an image.
    """
    low, high = (0.0, 255.0)
    if {image.dtype for image in images} != {"uint8"}:
        low, high = min(image.low for image in images), max(image.high for image in images)
        high = high if high > low else low + 1.0
    weights = np.array([image.size[0] * image.size[1] for image in images], np.float64)
    means = np.array([image.mean for image in images])
    deviations = np.array([image.std for image in images])
    mean = np.average(means, axis=0, weights=weights)
    std = np.sqrt(np.average(deviations**2 + (means - mean) ** 2, axis=0, weights=weights))
    std[std == 0] = high - low  # a channel that is constant everywhere stays finite
    return {
        "low": low,
        "high": high,
        "mean": ((mean - low) / (high - low)).tolist(),
        "std": (std / (high - low)).tolist(),
    }
