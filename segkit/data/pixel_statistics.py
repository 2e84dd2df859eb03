"""Statistics of one image's or mask's values, exact, and in little memory besides the values themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.ops.blocks import blocks
from segkit.ops.channels import convert_channels

LISTED_VALUES = 1024
"""A mask's facts list its commonest values up to this number: a JPEG mask may hold a hundred thousand of them."""

SHARES = np.array([0.001, 0.999])
"""Of the values, where the percentiles lie."""

_HALF = 16
_LOW_BITS = np.uint32(2**_HALF - 1)
_SIGN = np.uint32(2**31)


@dataclass(frozen=True, slots=True)
class Intensities:
    """Statistics of the finite values of one image; the attributes are those of `segkit.data.facts.ImageFacts`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    percentile_low: tuple[float, ...]
    percentile_high: tuple[float, ...]
    minimum: float
    maximum: float
    not_finite: float = 0.0


@dataclass(frozen=True, slots=True)
class _Channel:
    """Statistics of the finite values of one channel, `size` of them."""

    size: int = 0
    mean: float = 0.0
    std: float = 0.0
    low: float = 0.0
    high: float = 0.0
    minimum: float = 0.0
    maximum: float = 0.0


def measure_intensities(image: NDArray[Any], convert: Literal["gray", "rgb"] | None = None) -> Intensities:
    """Statistics of an image (H, W, C) of uint8, uint16 or float32, after a conversion of its channels."""
    count = convert_channels(image[:1, :1], convert).shape[2]
    measure = _of_floats if np.issubdtype(image.dtype, np.floating) else _of_integers
    channels = [measure(_Values(image, convert, index)) for index in range(count)]
    shown = [channel for channel in channels if channel.size] or [_Channel()]
    return Intensities(
        mean=tuple(channel.mean for channel in channels),
        std=tuple(channel.std for channel in channels),
        percentile_low=tuple(channel.low for channel in channels),
        percentile_high=tuple(channel.high for channel in channels),
        minimum=min(channel.minimum for channel in shown),
        maximum=max(channel.maximum for channel in shown),
        not_finite=1 - sum(channel.size for channel in channels) / (image.shape[0] * image.shape[1] * count),
    )


@dataclass(frozen=True, slots=True)
class _Values:
    """The finite values of one channel of an image, flat, some at a time and as often as they are asked for."""

    image: NDArray[Any]
    convert: Literal["gray", "rgb"] | None
    channel: int

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for block in blocks(self.image):
            values = convert_channels(block, self.convert)[..., self.channel]
            yield values[np.isfinite(values)] if np.issubdtype(values.dtype, np.floating) else values.ravel()


def _of_integers(values: _Values) -> _Channel:
    """From one counting pass: several times faster than sorting for percentiles."""
    histogram = _histogram(values, values.image.dtype)
    present, levels = np.flatnonzero(histogram), np.arange(len(histogram), dtype=np.float64)
    size = int(histogram.sum())
    mean = histogram @ levels / size
    low, high = np.searchsorted(histogram.cumsum(), _ranks(size))
    variance = (levels - mean) ** 2 @ histogram / size
    return _Channel(
        size, float(mean), float(np.sqrt(variance)), float(low), float(high), float(present[0]), float(present[-1])
    )


def _of_floats(values: _Values) -> _Channel:
    """Sums in float64; the percentiles are found by the upper halves of the values' bits, then by the lower ones."""
    size, total, upper = 0, 0.0, np.zeros(2**_HALF, np.int64)
    minimum, maximum = np.inf, -np.inf
    for block in values:
        if block.size:
            size, total = size + block.size, total + float(block.sum(dtype=np.float64))
            minimum, maximum = min(minimum, float(block.min())), max(maximum, float(block.max()))
            upper += np.bincount(_ordered_bits(block) >> _HALF, minlength=2**_HALF)
    if not size:
        return _Channel()
    mean, squares = total / size, 0.0
    ranks, below = _ranks(size), np.concatenate([[0], upper.cumsum()])
    bins = np.searchsorted(below[1:], ranks)
    lower = np.zeros((len(bins), 2**_HALF), np.int64)
    for block in values:
        squares += float(((block.astype(np.float64) - mean) ** 2).sum())
        bits = _ordered_bits(block)
        for counts, bin_ in zip(lower, bins, strict=True):
            counts += np.bincount(bits[bits >> _HALF == bin_] & _LOW_BITS, minlength=2**_HALF)
    low, high = (
        _from_ordered_bits(int(bin_) << _HALF | int(np.searchsorted(counts.cumsum(), rank - below[bin_])))
        for counts, bin_, rank in zip(lower, bins, ranks, strict=True)
    )
    return _Channel(size, mean, float(np.sqrt(squares / size)), low, high, minimum, maximum)


def _ranks(size: int) -> NDArray[np.float64]:
    """Of the percentiles among so many values, counted from 1: the ceil(share * n)-th, numpy's "inverted_cdf"."""
    return np.ceil(SHARES * size)


def _ordered_bits(values: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The bits of floats as whole numbers in the same order: positive ones above, negative ones turned round."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _from_ordered_bits(bits: int) -> float:
    wide = np.uint32(bits)
    return float(np.array([wide ^ _SIGN if wide & _SIGN else ~wide], np.uint32).view(np.float32)[0])


def _histogram(values: Iterable[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """How often each value occurs; NumPy would turn all of them into 8 bytes each at once."""
    levels = np.iinfo(dtype).max + 1
    counts = np.zeros(levels, np.int64)
    for block in values:
        counts += np.bincount(block.ravel(), minlength=levels)
    return counts


def count_values(masks: Iterable[NDArray[Any]]) -> tuple[dict[int, int], int, str]:
    """What values the parts of a mask hold, integers of one type.

    Returns:
        Value to number of pixels (the `LISTED_VALUES` commonest, ascending); how many values differ; NumPy's name of
        their type.
    """
    values, counts, dtype = np.zeros(0, np.int64), np.zeros(0, np.int64), ""
    for mask in masks:
        dtype = mask.dtype.name
        more, numbers = _count(mask)
        values, places = np.unique(np.concatenate([values, more]), return_inverse=True)
        joined = np.zeros(len(values), np.int64)
        np.add.at(joined, places, np.concatenate([counts, numbers]))
        counts = joined
    common: Any = slice(None)
    if len(values) > LISTED_VALUES:
        common = np.sort(np.argsort(-counts, kind="stable")[:LISTED_VALUES])
    return dict(zip(values[common].tolist(), counts[common].tolist(), strict=True)), len(values), dtype


def _count(mask: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What `np.unique` gives with counts; for small integers one counting pass is ten times faster than sorting."""
    if mask.dtype in (np.uint8, np.uint16):
        histogram = _histogram([mask], mask.dtype)
        values = np.flatnonzero(histogram)
        return values, histogram[values]
    values, counts = np.unique(mask, return_counts=True)
    return values.astype(np.int64), counts
