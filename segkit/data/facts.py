"""What the scan learns from one image or one mask, measured once from its stored values."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.ops.blocks import blocks
from segkit.structures import IGNORE_INDEX, ClassMap

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
        values: stored value to number of pixels, ascending; the commonest where there are more;
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
    for block in blocks(image):
        digest.update(np.ascontiguousarray(block).data)
    return digest.hexdigest()[:32]


def hidden_share(pixels: NDArray[Any]) -> float:
    """Share of the pixels (H, W, C and opacity) less than half opaque, 0 where one colour alone lies beneath them."""
    half = np.iinfo(pixels.dtype).max / 2 if np.issubdtype(pixels.dtype, np.integer) else 0.5
    number, colors = 0, []
    for block in blocks(pixels):
        beneath = block[block[..., -1] < half][:, :-1]
        if len(beneath):
            number += len(beneath)
            colors += [beneath.min(axis=0), beneath.max(axis=0)]
    if not number or len(np.unique(colors, axis=0)) == 1:
        return 0.0
    return number / (pixels.shape[0] * pixels.shape[1])
