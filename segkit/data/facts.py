"""What the scan learns from one image or one mask, measured once from its stored values."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.structures import IGNORE_INDEX, ClassMap

LISTED_VALUES = 1024
"""A mask's facts list its commonest values up to this number: a JPEG mask may hold a hundred thousand of them."""

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
    channels = [_finite(image[..., index].ravel()) for index in range(image.shape[2])]
    everything = np.concatenate(channels)
    ranges = [
        np.percentile(values, [0.1, 99.9], method="inverted_cdf") if values.size else (0.0, 0.0) for values in channels
    ]
    return Intensities(
        mean=tuple(float(values.mean(dtype=np.float64)) if values.size else 0.0 for values in channels),
        std=tuple(float(values.std(dtype=np.float64)) if values.size else 0.0 for values in channels),
        percentile_low=tuple(float(low) for low, _ in ranges),
        percentile_high=tuple(float(high) for _, high in ranges),
        minimum=float(everything.min(initial=np.inf)) if everything.size else 0.0,
        maximum=float(everything.max(initial=-np.inf)) if everything.size else 0.0,
        not_finite=1 - everything.size / image.size,
    )


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    return values[np.isfinite(values)]


def _from_histogram(image: NDArray[Any]) -> Intensities:
    """The same numbers from one counting pass per channel: several times faster than sorting for percentiles."""
    counts = [np.bincount(image[..., index].ravel()) for index in range(image.shape[2])]
    levels = max(map(len, counts))
    histogram = np.stack([np.pad(count, (0, levels - len(count))) for count in counts])
    values = np.arange(levels, dtype=np.float64)
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


def count_values(mask: NDArray[Any]) -> tuple[dict[int, int], int]:
    """Stored value to number of pixels (the `LISTED_VALUES` commonest, ascending), and how many values differ."""
    if mask.dtype in (np.uint8, np.uint16):  # one counting pass is ten times faster than sorting
        histogram = np.bincount(mask.ravel())
        values = np.flatnonzero(histogram)
        counts = histogram[values]
    else:
        values, counts = np.unique(mask, return_counts=True)
    if len(values) > LISTED_VALUES:
        common = np.sort(np.argsort(-counts, kind="stable")[:LISTED_VALUES])
        return dict(zip(values[common].tolist(), counts[common].tolist(), strict=True)), len(values)
    return dict(zip(values.tolist(), counts.tolist(), strict=True)), len(values)
