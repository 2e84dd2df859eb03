"""What happens to an image before the network and to the logits after it: one object for training, evaluation,
prediction, the app and exported models.

The way of a pixel: reader (true values) -> `to_unit` (float32 in a stated range) -> `center` (in training a crop drawn
at random, and augmentation) -> `normalize` -> network -> `class_indices` of the logits; `softmax` where probabilities
are asked for, and of every tile of an image too large for one piece, whose blended probabilities `class_indices` then
decides on. A crop or a tile is scaled by the `Scale` of the whole image, so that its pixels are those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segkit.config import Config
from segkit.errors import UsageError
from segkit.ops.channels import convert_channels
from segkit.ops.resizing import middle, middle_corner, middle_of_proportions, proportioned, resize
from segkit.ops.sizes import ImageParts
from segkit.ops.words import counted
from segkit.structures import TaskName

NormalizationName = Literal["8bit", "percentile", "zscore", "ct"]
"""How stored values become the network's: by the range of 8-bit images, by the percentiles of the training images, by
each image's own mean and deviation, or clipped to the percentiles of the training images' foreground."""

FLOAT_STEP = float(np.finfo(np.float32).eps)
"""Relative step of float32: an image whose deviation is below it, beside its mean, is constant."""

_EXACT_BYTES = 2
"""Values of so many bytes are scaled in float32, which holds each of them; larger ones may lie far above their spread.
"""

STATISTICS_BLOCK = 2**22
"""Values of an image that are summed up at once, so that a large one needs no copy in float64."""


class Scale(NamedTuple):
    """What turns one image's stored values into unit values: (value - low) * factor, per channel."""

    low: tuple[float, ...]
    factor: tuple[float, ...]


class Place(NamedTuple):
    """Where in an image lies what the network sees: x, y of that is left + x * width, top + y * height of the image.

    Width and height are those of one seen pixel, in pixels of the image.
    """

    left: float
    top: float
    width: float
    height: float


class ObjectRule(Config):
    """Which of the objects that a network may have found are given, and which of these are shown."""

    least_score: float = Field(0.05, ge=0, le=1, description="boxes of a lower score are never given")
    threshold: float = Field(0.5, ge=0, le=1, description="score from which objects are shown and counted")
    overlap: float = Field(0.6, ge=0, le=1, description="intersection over union above which the surer box stays alone")
    max_detections: int = Field(300, ge=1, description="objects given of an image, at most, the surest")
    seed_threshold: float = Field(0.5, ge=0, lt=1, description="probability of an inside above which an object starts")
    smallest_seed: int = Field(1, ge=1, description="pixels of such an inside, at least")
    smallest_object: int = Field(4, ge=1, description="pixels of an object that is told by its pixels, at least")


class Pipeline(Config):
    """Saved pre- and postprocessing of a model."""

    channels: int = Field(ge=1, le=16, description="channels the network takes")
    channel_names: tuple[str, ...] = Field((), description="what the channels show, where that is known")
    convert: Literal["gray", "rgb"] | None = Field(None, description="conversion of every image; None: as stored")
    axis: Literal[0, 1, 2] | None = Field(
        None,
        description="along which volumes are read slice by slice; None: that of the largest spacing, else the last",
    )
    normalization: NormalizationName = Field("8bit", description="8bit, percentile, zscore or ct; see docs/training.md")
    low: float | tuple[float, ...] = Field(
        0.0, description="stored value that becomes 0, one for all channels or one each; zscore: in deviations"
    )
    high: float | tuple[float, ...] = Field(255.0, description="stored value that becomes 1, likewise")
    mean: tuple[float, ...] = Field(description="per channel, after scaling to low..high, subtracted")
    std: tuple[float, ...] = Field(description="per channel, after scaling to low..high, divided by")
    size: tuple[int, int] | None = Field(None, description="(H, W) images are resized to; None: their own size (masks)")
    keep_proportions: bool = Field(
        False, description="whether, before resizing to size, the middle of its proportions is cut out; else stretched"
    )
    center_crop: tuple[int, int] | None = Field(
        None, description="(H, W) the network sees of the middle of the resized image; None: all of it"
    )
    stride_multiple: int = Field(1, ge=1, description="height and width the network takes are multiples of this")
    stride_remainder: int = Field(0, ge=0, description="pixels they have beyond such a multiple, margin not counted")
    margin: int = Field(0, ge=0, description="pixels the network loses on each side, mirrored on beforehand")
    smallest: int = Field(
        1,
        ge=1,
        description="side of the training crops, to which smaller images are mirrored, as they were in training",
    )
    tile: int = Field(640, ge=32, description="side of a tile in pixels, before rounding to the multiple")
    overlap: float = Field(0.25, ge=0, lt=1, description="share of a tile that neighbours share")
    whole_limit: int = Field(1536 * 1536, ge=1, description="images of more pixels than this are predicted in tiles")
    objects: ObjectRule = Field(ObjectRule(), description="which boxes and objects are given and shown")
    temperatures: dict[TaskName, Annotated[float, Field(gt=0)]] = Field(
        {}, description="what a head's logits are divided by before they are shown as probabilities; 1 if not named"
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic the model was validated with")

    @model_validator(mode="before")
    @classmethod
    def _name_the_older(cls, given: Any) -> Any:
        """Pipelines saved before normalization had a name scaled by one range: that of 8 bits, or percentiles."""
        if not isinstance(given, Mapping) or "normalization" in given:
            return given
        is_8bit = (given.get("low", 0.0), given.get("high", 255.0)) == (0.0, 255.0)
        return {**given, "normalization": "8bit" if is_8bit else "percentile"}

    @model_validator(mode="after")
    def _check(self) -> Pipeline:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} values, one per channel")
        if not len(self._each(self.low)) == len(self._each(self.high)) == self.channels:
            raise ValueError(f"low and high need one value, or {self.channels}, one per channel")
        ranges = zip(self._each(self.low), self._each(self.high), strict=True)
        if any(high <= low for low, high in ranges) or min(self.std) <= 0:
            raise ValueError("high must be above low and every std above 0")
        if self.channel_names and len(set(self.channel_names)) != self.channels:
            raise ValueError(f"channel_names need {self.channels} different names, one per channel")
        if self.size is None and (self.keep_proportions or self.center_crop):
            raise ValueError("keep_proportions and center_crop need a size, to which every image is resized")
        inside = all(0 < seen <= side for seen, side in zip(self.center_crop or (), self.size or (), strict=False))
        if not inside:
            raise ValueError(f"center_crop {self.center_crop} does not lie inside size {self.size}")
        return self

    def scale_of(self, image: ImageParts) -> Scale:
        """The scale of an image (H, W) or (H, W, C) of stored values: for `zscore` its own, else that of every image.

        Some rows of the image are taken at a time. Raises `UsageError` as `to_unit` does.
        """
        low, high = self._each(self.low), self._each(self.high)
        if self.normalization == "zscore":
            own = self._means_and_deviations(image)
            low = tuple(mean + at * deviation for at, (mean, deviation) in zip(low, own, strict=True))
            high = tuple(mean + at * deviation for at, (mean, deviation) in zip(high, own, strict=True))
        return Scale(low, tuple(1 / (last - first) for first, last in zip(low, high, strict=True)))

    def _means_and_deviations(self, image: ImageParts) -> list[tuple[float, float]]:
        """Of each channel, in float64 and always in the same order; the deviation of a constant one is 1."""
        height, width = image.shape[:2]
        count, rows = height * width, max(1, STATISTICS_BLOCK // width)

        def sums_of(measure: Callable[[NDArray[np.float64], int], NDArray[np.float64]]) -> list[float]:
            totals = [0.0] * self.channels
            for first in range(0, height, rows):
                stored = self.with_channels(image[first : min(first + rows, height), :])
                _require_finite(stored)
                for channel in range(self.channels):
                    # A contiguous copy: the order in which numpy adds up, and so the last bit, follows from the layout.
                    plane = np.ascontiguousarray(stored[..., channel], np.float64)
                    totals[channel] += float(measure(plane, channel).sum())
            return totals

        means = [total / count for total in sums_of(lambda plane, _: plane)]
        squares = sums_of(lambda plane, channel: (plane - means[channel]) ** 2)
        deviations = [(total / count) ** 0.5 for total in squares]
        return [
            (mean, deviation if deviation > FLOAT_STEP * abs(mean) else 1.0)
            for mean, deviation in zip(means, deviations, strict=True)
        ]

    def to_unit(self, image: NDArray[Any], scale: Scale | None = None) -> NDArray[np.float32]:
        """Stored values (H, W) or (H, W, C) to float32 (H, W, channels), `low`..`high` becoming 0..1.

        Nothing is clipped but by `ct`, which clips to that range. An image of a pipeline with `size` is resized to it,
        stretched or its middle as `keep_proportions` says. Raises `UsageError` as `with_channels` does, and when values
        are no finite numbers.

        Args:
            image: a whole image, or part of one.
            scale: the `scale_of` the whole image where `image` is part of it.
        """
        stored = self.with_channels(image)
        low, factor = scale or self.scale_of(image)
        exact: Any = np.float32 if stored.dtype.itemsize <= _EXACT_BYTES else np.float64
        if exact is np.float32:
            unit = stored = stored.astype(np.float32)
        else:
            unit = np.empty(stored.shape, np.float32)
        alike = len(set(low)) == len(set(factor)) == 1
        parts: list[Any] = [...] if alike else [(..., channel) for channel in range(self.channels)]
        for part, zero, times in zip(parts, low, factor, strict=False):
            np.subtract(stored[part], exact(zero), out=unit[part], dtype=exact, casting="same_kind")
            unit[part] *= np.float32(times)
        _require_finite(unit, image.dtype)
        if self.normalization == "ct":
            np.clip(unit, 0, 1, out=unit)
        return self._resized(unit)

    def center(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of unit values (H, W, C) that the network sees: the middle of `center_crop`, or everything."""
        return unit if self.center_crop is None else middle(unit, self.center_crop)

    def normalize(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit values (H, W, C) to the network's input (C, H, W): mean 0 and deviation 1 over the training set."""
        planes = np.empty((self.channels, *unit.shape[:2]), np.float32)
        for channel, plane in enumerate(planes):  # seven times faster than broadcasting over a last axis of three
            np.subtract(unit[..., channel], np.float32(self.mean[channel]), out=plane)
            plane /= np.float32(self.std[channel])
        return planes

    def prepare(self, image: NDArray[Any], scale: Scale | None = None) -> NDArray[np.float32]:
        """Stored values to the network's input (C, H, W): `to_unit` with the same arguments, `center`, `normalize`."""
        return self.normalize(self.center(self.to_unit(image, scale)))

    def describe(self) -> list[str]:
        """What it does to the values of an image, line by line, for people."""
        names = f" ({', '.join(self.channel_names)})" if self.channel_names else ""
        converted = f", every image converted to {self.convert}" if self.convert else ""
        lines = [f"input: {counted(self.channels, 'channel')}{names}{converted}"]
        ranges = ", ".join(
            f"{low:.5g} to {high:.5g}"
            for low, high in dict.fromkeys(zip(self._each(self.low), self._each(self.high), strict=True))
        )
        scaled = {
            "8bit": f"stored values {ranges} become 0 to 1, then the training images' mean and deviation",
            "percentile": f"stored values {ranges} become 0 to 1, then the training images' mean and deviation",
            "zscore": "each image by its own mean and deviation",
            "ct": f"clipped to {ranges}, then the mean and deviation of the training images' foreground",
        }
        lines.append(f"normalization: {self.normalization}, {scaled[self.normalization]}")
        shown = ", ".join(f"{head} {temperature:.3f}" for head, temperature in self.temperatures.items())
        return [*lines, f"probabilities: of logits divided by their temperature: {shown}"] if shown else lines

    def seen(self, image: NDArray[Any]) -> NDArray[Any]:
        """Stored values (H, W) or (H, W, C) of what `prepare` gives the network: resized and cut, dtype kept.

        Raises `UsageError` as `with_channels` does.
        """
        stored = self.with_channels(image)
        if self.size is None:
            return stored
        seen = self.center(self._resized(stored.astype(np.float32)))
        return np.rint(seen).astype(stored.dtype) if np.issubdtype(stored.dtype, np.integer) else seen

    def place_of_seen(self, size: tuple[int, int]) -> Place:
        """Where in an image of `size` (H, W) lies what `prepare` gives the network of it."""
        if self.size is None:
            return Place(0, 0, 1, 1)
        part = proportioned(size, self.size) if self.keep_proportions else size
        height, width = part[0] / self.size[0], part[1] / self.size[1]
        top, left = middle_corner(size, part)
        cut_top, cut_left = middle_corner(self.size, self.center_crop or self.size)
        return Place(left + cut_left * width, top + cut_top * height, width, height)

    def _each(self, value: float | tuple[float, ...]) -> tuple[float, ...]:
        """One value per channel."""
        return value if isinstance(value, tuple) else (value,) * self.channels

    def _resized(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W, C) in `size`, stretched or its middle as `keep_proportions` says; without `size` as it is."""
        if self.size is None:
            return image
        return resize(middle_of_proportions(image, self.size) if self.keep_proportions else image, self.size)

    def with_channels(self, image: NDArray[Any]) -> NDArray[Any]:
        """Stored values (H, W) or (H, W, C) to stored values (H, W, channels), converted where the pipeline says so.

        Raises `UsageError` when the array is no image or the number of channels is not the model's.
        """
        if image.ndim not in (2, 3) or image.size == 0:
            raise UsageError(f"an array of shape {image.shape} is no image; expected (H, W) or (H, W, channels)")
        image = convert_channels(image if image.ndim == 3 else image[..., None], self.convert)
        if image.shape[2] != self.channels:
            raise UsageError(
                f"the image has {counted(image.shape[2], 'channel')}, the model takes {self.channels}; "
                "convert it, or train with '--channels gray' or '--channels rgb' to have every image converted"
            )
        return image


def _require_finite(values: NDArray[Any], dtype: np.dtype[Any] | None = None) -> None:
    """Raise `UsageError` where values, stored as `dtype`, are no finite numbers."""
    if not np.issubdtype(dtype or values.dtype, np.integer) and not np.isfinite(values).all():
        raise UsageError("the image holds values that are no finite numbers; replace them before use")
