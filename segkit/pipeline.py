"""What happens to an image before the network and to the logits after it: one object for training, evaluation,
prediction, the app and exported models.

The way of a pixel: reader (true values) -> `to_unit` (float32 in a stated range) -> `center` (in training a crop drawn
at random, and augmentation) -> `normalize` -> network -> `class_indices` of the logits; `softmax` where probabilities
are asked for, and of every tile of an image too large for one piece, whose blended probabilities `class_indices` then
decides on.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from segkit.config import Config
from segkit.errors import UsageError
from segkit.ops.words import counted


class Pipeline(Config):
    """Saved pre- and postprocessing of a model."""

    channels: int = Field(ge=1, le=16, description="channels the network takes")
    convert: Literal["gray", "rgb"] | None = Field(None, description="conversion of every image; None: as stored")
    low: float = Field(0.0, description="stored value that becomes 0")
    high: float = Field(255.0, description="stored value that becomes 1")
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
    tile: int = Field(1024, ge=32, description="side of a tile in pixels, before rounding to the multiple")
    overlap: float = Field(0.25, ge=0, lt=1, description="share of a tile that neighbours share")
    whole_limit: int = Field(1536 * 1536, ge=1, description="images of more pixels than this are predicted in tiles")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="arithmetic the model was validated with")

    @model_validator(mode="after")
    def _check(self) -> Pipeline:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std need {self.channels} values, one per channel")
        if self.high <= self.low or min(self.std) <= 0:
            raise ValueError("high must be above low and every std above 0")
        if self.size is None and (self.keep_proportions or self.center_crop):
            raise ValueError("keep_proportions and center_crop need a size, to which every image is resized")
        inside = all(0 < seen <= side for seen, side in zip(self.center_crop or (), self.size or (), strict=False))
        if not inside:
            raise ValueError(f"center_crop {self.center_crop} does not lie inside size {self.size}")
        return self

    def to_unit(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Stored values (H, W) or (H, W, C) to float32 (H, W, channels), `low`..`high` becoming 0..1, nothing clipped.

        An image of a pipeline with `size` is resized to it, stretched or its middle as `keep_proportions` says. Raises
        `UsageError` as `with_channels` does, and when values are no finite numbers.
        """
        unit = self.with_channels(image).astype(np.float32)
        if not np.issubdtype(image.dtype, np.integer) and not np.isfinite(unit).all():
            raise UsageError("the image holds values that are no finite numbers; replace them before use")
        unit -= np.float32(self.low)
        unit *= np.float32(1 / (self.high - self.low))
        return self._resized(unit)

    def center(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of unit values (H, W, C) that the network sees: the middle of `center_crop`, or everything."""
        return unit if self.center_crop is None else _middle(unit, self.center_crop)

    def normalize(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit values (H, W, C) to the network's input (C, H, W): mean 0 and deviation 1 over the training set."""
        planes = np.empty((self.channels, *unit.shape[:2]), np.float32)
        for channel, plane in enumerate(planes):  # seven times faster than broadcasting over a last axis of three
            np.subtract(unit[..., channel], np.float32(self.mean[channel]), out=plane)
            plane /= np.float32(self.std[channel])
        return planes

    def prepare(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Stored values to the network's input (C, H, W): `to_unit`, `center`, then `normalize`."""
        return self.normalize(self.center(self.to_unit(image)))

    def seen(self, image: NDArray[Any]) -> NDArray[Any]:
        """Stored values (H, W) or (H, W, C) of what `prepare` gives the network: resized and cut, dtype kept.

        Raises `UsageError` as `with_channels` does.
        """
        stored = self.with_channels(image)
        if self.size is None:
            return stored
        seen = self.center(self._resized(stored.astype(np.float32)))
        return np.rint(seen).astype(stored.dtype) if np.issubdtype(stored.dtype, np.integer) else seen

    def _resized(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H, W, C) in `size`, stretched or its middle as `keep_proportions` says; without `size` as it is."""
        if self.size is None:
            return image
        return resize(_middle_of_proportions(image, self.size) if self.keep_proportions else image, self.size)

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


def convert_channels(image: NDArray[Any], to: Literal["gray", "rgb"] | None) -> NDArray[Any]:
    """(H, W, 1 or 3) to gray (ITU-R BT.601 weights) or RGB (channel repeated), dtype kept; other counts unchanged."""
    channels = image.shape[2]
    if to == "rgb" and channels == 1:
        return np.repeat(image, 3, axis=2)
    if to == "gray" and channels == 3:
        gray = image.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        rounded = np.rint(gray) if np.issubdtype(image.dtype, np.integer) else gray
        return rounded.astype(image.dtype)[..., None]
    return image


def resize(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize (H, W, C) to `size` (H, W): the mean of the pixels covered where it shrinks, bilinear where it grows."""
    height, width = size
    if image.shape[:2] == size:
        return image
    shrinks = height * width < image.shape[0] * image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = np.empty((height, width, image.shape[2]), np.float32)
    for channel in range(image.shape[2]):  # one by one, because OpenCV takes no more than four
        resized[..., channel] = cv2.resize(image[..., channel], (width, height), interpolation=interpolation)
    return resized


def _middle_of_proportions(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The largest middle of (H, W, C) that has the proportions of `size`, to the nearest pixel."""
    height, width = image.shape[:2]
    scale = min(height / size[0], width / size[1])
    return _middle(image, (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))))


def _middle(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    top, left = (image.shape[0] - size[0]) // 2, (image.shape[1] - size[1]) // 2
    return image[top : top + size[0], left : left + size[1]]


def class_indices(scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """The class decided on at every pixel: (K, H, W) logits or probabilities to (H, W); of equals the lower index."""
    indices: NDArray[np.intp] = scores.argmax(axis=0)
    return indices


def softmax(logits: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Probabilities along `axis`, computed without overflow."""
    probabilities = logits - logits.max(axis=axis, keepdims=True)
    np.exp(probabilities, out=probabilities)
    probabilities /= probabilities.sum(axis=axis, keepdims=True)
    return probabilities
