"""How the stored values of a data set become a network's: what each way takes from the training images.

| name | unit values 0 to 1 | mean and deviation | for |
| --- | --- | --- | --- |
| `8bit` | stored 0 to 255 | of the training images | 8-bit images |
| `percentile` | lowest 0.1 to highest 99.9 percentile of a training image | of the training images | 16-bit, floats |
| `zscore` | two deviations about the mean, of each image by itself | of each image | values without a scale: MRI |
| `ct` | 0.5 to 99.5 percentile of the training images' foreground, clipped | of that foreground | Hounsfield units |

The last is that of nnU-Net (Isensee et al., Nature Methods 2021, "Intensity normalization"), whose mean and deviation
are those before clipping. Every channel has its own numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.facts import ImageFacts
from segkit.data.samples import load_sample
from segkit.errors import UsageError
from segkit.ops.channels import convert_channels
from segkit.pipeline import FLOAT_STEP, NormalizationName
from segkit.structures import ClassMap, Progress, Record

FOREGROUND_VALUES = 10_000_000
"""Most foreground pixels measured, as many of every image; nnU-Net draws as many from every volume as well."""

STRONGLY = 10.0
"""Images whose ranges differ by more than this factor have no scale in common."""

UNEVENLY = 4.0
"""8-bit images whose deviations differ by more than this factor are too unequal in contrast for one scale.

Between the 5th and 95th percentile they differed 1.2 to 1.8 times in sets of streets, retinas, blood cells, membranes
and everyday photographs, and 8 times in fluorescent and stained nuclei together, where AP@0.5 on validation images was
0.52 after ten minutes by one scale and 0.59 after four by each image's own.
"""

EIGHT_BIT = (0.0, 255.0)


def measure_intensities(images: Sequence[ImageFacts], units: Sequence[str]) -> dict[str, Any]:
    """What the values of the training images look like, from their facts.

    Args:
        images: the training images.
        units: for each the group (patient, volume) that shares one scanner's scale, or the image's own id.

    Returns:
        JSON-ready values, per channel in stored values: `low` and `high`, the lowest 0.1 and highest 99.9 percentile of
        an image; `mean` and `std` over all pixels. And `ranges`: the 5th and the 95th percentile, over the units that
        show anything, of the largest range from `low` to `high` in one of their images; `deviations` likewise of the
        largest deviation.
    """
    weights = np.array([image.size[0] * image.size[1] for image in images], np.float64)
    means, deviations = (np.array([getattr(image, name) for image in images]) for name in ("mean", "std"))
    lows, highs = (np.array([getattr(image, f"percentile_{name}") for image in images]) for name in ("low", "high"))
    mean = np.average(means, axis=0, weights=weights)
    variance = np.average(deviations**2 + (means - mean) ** 2, axis=0, weights=weights)
    return {
        "low": lows.min(axis=0).tolist(),
        "high": highs.max(axis=0).tolist(),
        "mean": mean.tolist(),
        "std": np.sqrt(variance).tolist(),
        "ranges": _extremes((highs - lows).max(axis=1), units),
        "deviations": _extremes(deviations.max(axis=1), units),
    }


def _extremes(values: NDArray[np.float64], units: Sequence[str]) -> list[float]:
    """The 5th and the 95th percentile, over the units with any above 0, of the largest value in each."""
    largest: dict[str, float] = {}
    for unit, value in zip(units, values.tolist(), strict=True):
        largest[unit] = max(value, largest.get(unit, 0.0))
    found: list[float] = np.percentile([value for value in largest.values() if value > 0] or [0.0], [5, 95]).tolist()
    return found


def choose_normalization(intensities: Mapping[str, Any], dtypes: Mapping[str, int]) -> tuple[NormalizationName, str]:
    """The way that suits images of these `measure_intensities` and stored types, and why."""
    if set(dtypes) == {"uint8"}:
        faint, strong = intensities["deviations"]
        if strong > UNEVENLY * faint:
            return "zscore", (
                f"images are stored as uint8, and their deviations go from {faint:.4g} to {strong:.4g} (5th and 95th "
                f"percentile), more than {UNEVENLY:g} times: they are too unequal in contrast for one scale"
            )
        return "8bit", "images are stored as uint8"
    narrow, wide = intensities["ranges"]
    spread = f"the ranges of the training images go from {narrow:.4g} to {wide:.4g} (5th and 95th percentile)"
    if wide > STRONGLY * narrow:
        return "zscore", f"{spread}, more than {STRONGLY:g} times: they have no scale in common"
    return "percentile", f"{spread}, less than {STRONGLY:g} times: they have one scale"


def measure_foreground(
    records: Sequence[Record], classes: ClassMap, convert: Any = None, progress: Progress | None = None
) -> dict[str, list[float]]:
    """The training images' foreground, per channel in stored values, as `ct` needs it; reads every image and mask.

    Args:
        records: the training images with their masks.
        classes: what the masks' values mean; every class but the background is foreground.
        convert: conversion of every image, as the pipeline's.
        progress: called with (done, total) after each image.

    Returns:
        `low` and `high`, the 0.5 and 99.5 percentile; `mean` and `std`. All foreground pixels are measured, or where
        there are more than `FOREGROUND_VALUES` as many of every image, drawn with a fixed seed.

    Raises:
        UsageError: the training images show no foreground.
    """
    generator, most = np.random.default_rng(0), max(1, FOREGROUND_VALUES // max(1, len(records)))
    found = []
    for done, record in enumerate(records, start=1):
        sample = load_sample(record, classes)
        if sample.mask is not None:
            values = convert_channels(sample.image, convert)[np.isin(sample.mask, classes.foreground)]
            found.append(values if len(values) <= most else generator.choice(values, most, replace=False))
        if progress is not None:
            progress(done, len(records))
    values = np.concatenate(found).astype(np.float64) if found else np.empty((0, 1))
    if not len(values):
        raise UsageError("--normalization ct: the training images show no foreground to measure; use zscore")
    low, high = np.percentile(values, [0.5, 99.5], axis=0)
    return {
        "low": low.tolist(),
        "high": high.tolist(),
        "mean": values.mean(axis=0).tolist(),
        "std": values.std(axis=0).tolist(),
    }


def pipeline_settings(name: NormalizationName, intensities: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a `segkit.pipeline.Pipeline` that normalizes so.

    Args:
        name: the way.
        intensities: of `measure_intensities`; for `ct` with those of `measure_foreground` as its `foreground`.
    """
    channels = len(intensities["mean"])
    if name == "zscore":
        # Unit values from 0 to 1, on which augmentation works, span two deviations either way.
        return {
            "normalization": name, "low": -2.0, "high": 2.0, "mean": (0.5,) * channels, "std": (0.25,) * channels
        }  # fmt: skip
    measured = intensities["foreground"] if name == "ct" else intensities
    low, high = (np.array(measured[bound]) for bound in ("low", "high"))
    if name == "8bit":
        low, high = (np.full(channels, bound) for bound in EIGHT_BIT)
    high = np.where(high > low, high, low + 1)  # a channel that is constant everywhere stays finite
    mean, std = np.array(measured["mean"]), np.array(measured["std"])
    std = np.where(std > FLOAT_STEP * np.abs(mean), std, high - low)
    return {
        "normalization": name,
        "low": _one_or_each(low),
        "high": _one_or_each(high),
        "mean": tuple(((mean - low) / (high - low)).tolist()),
        "std": tuple((std / (high - low)).tolist()),
    }


def _one_or_each(values: Any) -> float | tuple[float, ...]:
    """One value where all channels have the same."""
    return float(values[0]) if len(set(values.tolist())) == 1 else tuple(values.tolist())
