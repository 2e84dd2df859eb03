"""What the scan learns from one image or one mask, measured once from its stored values."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.structures import IGNORE_INDEX, ClassMap

LISTED_VALUES = 1024
"""A mask's facts list its commonest values up to this number: a JPEG mask may hold a hundred thousand of them."""

BLOCK = 2**22
"""Values that are counted or added up at once."""

MaskKind = Literal["ids", "palette", "rgb", "per-class", "objects"]


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """One image, measured after its orientation was applied.

    Attributes:
        size: (H, W) in pixels.
        channels: channels as stored.
        dtype: numpy name of the stored type, for example `"uint8"`.
        mean: mean of the stored values per channel (after the conversion asked of the scan), finite values only.
        std: standard deviation, likewise.
        percentile_low: 0.1 percentile of the stored values per channel, likewise.
        percentile_high: 99.9 percentile, likewise.
        minimum: smallest stored value.
        maximum: largest stored value.
        pixel_hash: see `pixel_hash`; equal for images of equal pixels, whatever file format holds them.
        orientation: EXIF orientation 1 to 8 that was applied, 1 where the file states none.
        not_finite: share of the values that are NaN or infinite.
        spacing: distance between the centres of rows and of columns in mm, where the file states it.
        thumbnail: what the image looks like, see `segkit.data.near_duplicates`.
        hidden: share of the pixels that are more transparent than opaque and hold different colours all the same.
        frames: of an animation, of which the first was measured.
        error: why the file cannot be read, in words; every other attribute is empty then.
    """

    size: tuple[int, int] = (0, 0)
    channels: int = 0
    dtype: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    percentile_low: tuple[float, ...] = ()
    percentile_high: tuple[float, ...] = ()
    minimum: float = 0.0
    maximum: float = 0.0
    pixel_hash: str = ""
    orientation: int = 1
    not_finite: float = 0.0
    spacing: tuple[float, float] | None = None
    thumbnail: str = ""
    hidden: float = 0.0
    frames: int = 1
    error: str | None = None


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """One mask as stored, before any class map.

    Attributes:
        size: (H, W) in pixels.
        values: stored value to number of pixels, ascending; the `LISTED_VALUES` commonest where there are more;
            empty where the classes have names.
        distinct: number of different values, listed or not.
        dtype: numpy name of the stored type.
        kind: how the file stores its values; `per-class`: every class has its own file; `objects`: drawn from marked
            objects.
        classes: of these two kinds: class name to the number of pixels that the class claims.
        overlap: of these two kinds: claims on pixels that another class claims too.
        ignored: pixels of objects that are not counted.
        lossy: the file format alters values (JPEG).
        orientation: EXIF orientation 1 to 8 that was applied, 1 where the file states none.
        error: why the file cannot be read, in words; every other attribute is empty then.
    """

    size: tuple[int, int] = (0, 0)
    values: Mapping[int, int] = field(default_factory=dict)
    distinct: int = 0
    dtype: str = ""
    kind: MaskKind = "ids"
    classes: Mapping[str, int] = field(default_factory=dict)
    overlap: int = 0
    ignored: int = 0
    lossy: bool = False
    orientation: int = 1
    error: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether the mask tells classes by their names, not by numbers or colours."""
        return self.kind in {"per-class", "objects"}


def to_plain(facts: ImageFacts | MaskFacts) -> list[Any]:
    """The attributes in order, mappings as pairs: JSON-ready, and integer keys survive."""
    values = (getattr(facts, field.name) for field in dataclasses.fields(facts))
    return [list(value.items()) if isinstance(value, Mapping) else value for value in values]


def from_plain(kind: type[ImageFacts] | type[MaskFacts], plain: Sequence[Any]) -> ImageFacts | MaskFacts:
    """What `to_plain` made of facts of this kind, after a way through JSON."""
    return kind(*map(_from_plain, dataclasses.fields(kind), plain))


def _from_plain(field_: dataclasses.Field[Any], value: Any) -> Any:
    if field_.name in ("values", "classes"):
        return dict(value)
    return tuple(value) if isinstance(value, list) else value


def class_pixels(mask: MaskFacts, classes: ClassMap) -> dict[int, int]:
    """Class index to number of pixels, for the classes the mask shows; pixels that are not counted are left out."""
    pixels: dict[int, int] = {}
    for name, number in mask.classes.items():
        if name in classes.names:
            pixels[classes.names.index(name)] = number
    if mask.is_named and classes.background is not None:
        claimed = sum(mask.classes.values()) - mask.overlap + mask.ignored
        pixels[classes.background] = pixels.get(classes.background, 0) + mask.size[0] * mask.size[1] - claimed
    unnamed = IGNORE_INDEX if classes.other is None else classes.other
    for value, number in mask.values.items():
        index = classes.values.get(value, unnamed)
        if index != IGNORE_INDEX:
            pixels[index] = pixels.get(index, 0) + number
    return {index: number for index, number in pixels.items() if number}


def pixel_hash(image: NDArray[Any]) -> str:
    """The first 32 hexadecimal digits of SHA-256 over dtype, shape and values of an image (H, W, C)."""
    digest = hashlib.sha256(f"{image.dtype.name}{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()[:32]


def hidden_share(pixels: NDArray[Any]) -> float:
    """Share of the pixels (H, W, C and opacity) less than half opaque, 0 where one colour alone lies beneath them."""
    opacity = pixels[..., -1]
    half = np.iinfo(opacity.dtype).max / 2 if np.issubdtype(opacity.dtype, np.integer) else 0.5
    beneath = pixels[opacity < half][:, :-1]
    if not beneath.size or (beneath == beneath[0]).all():
        return 0.0
    return float(len(beneath) / opacity.size)


@dataclass(frozen=True, slots=True)
class Intensities:
    """Statistics of the finite values of one image; the attributes are those of `ImageFacts`."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    percentile_low: tuple[float, ...]
    percentile_high: tuple[float, ...]
    minimum: float
    maximum: float
    not_finite: float = 0.0


def measure_intensities(image: NDArray[Any]) -> Intensities:
    """Statistics of an image (H, W, C); exact, percentiles included, for every dtype."""
    if image.dtype in (np.uint8, np.uint16):
        return _from_histogram(image)
    channels = [_of_channel(image[..., index]) for index in range(image.shape[2])]
    shown = [channel for channel in channels if channel.size] or [_Channel()]
    return Intensities(
        mean=tuple(channel.mean for channel in channels),
        std=tuple(channel.std for channel in channels),
        percentile_low=tuple(channel.low for channel in channels),
        percentile_high=tuple(channel.high for channel in channels),
        minimum=min(channel.minimum for channel in shown),
        maximum=max(channel.maximum for channel in shown),
        not_finite=1 - sum(channel.size for channel in channels) / image.size,
    )


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


def _of_channel(values: NDArray[Any]) -> _Channel:
    """One copy of the channel is made; sums in float64 go block by block."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return _Channel()
    mean = sum(float(block.sum(dtype=np.float64)) for block in _blocks(finite)) / finite.size
    variance = sum(float(((block.astype(np.float64) - mean) ** 2).sum()) for block in _blocks(finite)) / finite.size
    minimum, maximum = float(finite.min()), float(finite.max())
    low, high = np.percentile(finite, [0.1, 99.9], method="inverted_cdf", overwrite_input=True).tolist()
    return _Channel(finite.size, mean, float(np.sqrt(variance)), low, high, minimum, maximum)


def _blocks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """All values, some at a time and flat: what is computed from them may take many bytes each."""
    flat = values.ravel()
    return (flat[start : start + BLOCK] for start in range(0, flat.size, BLOCK))


def _histogram(values: NDArray[Any]) -> NDArray[np.int64]:
    """How often each value occurs; NumPy would turn all of them into 8 bytes each at once."""
    levels = np.iinfo(values.dtype).max + 1
    counts = np.zeros(levels, np.int64)
    for block in _blocks(values):
        counts += np.bincount(block, minlength=levels)
    return counts


def _from_histogram(image: NDArray[Any]) -> Intensities:
    """The same numbers from one counting pass per channel: several times faster than sorting for percentiles."""
    histogram = np.stack([_histogram(image[..., index]) for index in range(image.shape[2])])
    values = np.arange(histogram.shape[1], dtype=np.float64)
    pixels = image.shape[0] * image.shape[1]
    mean = histogram @ values / pixels
    variance = ((values - mean[:, None]) ** 2 * histogram).sum(axis=1) / pixels
    # The k-th smallest value with k = ceil(share * n): numpy's "inverted_cdf".
    ranks = np.ceil(np.array([0.001, 0.999]) * pixels)
    ranges = [np.searchsorted(cumulated, ranks) for cumulated in histogram.cumsum(axis=1)]
    present = np.flatnonzero(histogram.any(axis=0))
    return Intensities(
        mean=tuple(mean.tolist()),
        std=tuple(np.sqrt(variance).tolist()),
        percentile_low=tuple(float(low) for low, _ in ranges),
        percentile_high=tuple(float(high) for _, high in ranges),
        minimum=float(present[0]),
        maximum=float(present[-1]),
    )


def _unique(mask: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """What `np.unique` gives with counts, block by block."""
    values, counts = np.unique(mask.ravel()[:0]), np.zeros(0, np.int64)
    for block in _blocks(mask):
        more, numbers = np.unique(block, return_counts=True)
        values, places = np.unique(np.concatenate([values, more]), return_inverse=True)
        joined = np.zeros(len(values), np.int64)
        np.add.at(joined, places, np.concatenate([counts, numbers]))
        counts = joined
    return values, counts


def count_values(mask: NDArray[Any]) -> tuple[dict[int, int], int]:
    """Stored value to number of pixels (the `LISTED_VALUES` commonest, ascending), and how many values differ."""
    if mask.dtype in (np.uint8, np.uint16):  # one counting pass is ten times faster than sorting
        histogram = _histogram(mask)
        values = np.flatnonzero(histogram)
        counts = histogram[values]
    else:
        values, counts = _unique(mask)
    if len(values) > LISTED_VALUES:
        common = np.sort(np.argsort(-counts, kind="stable")[:LISTED_VALUES])
        return dict(zip(values[common].tolist(), counts[common].tolist(), strict=True)), len(values)
    return dict(zip(values.tolist(), counts.tolist(), strict=True)), len(values)
