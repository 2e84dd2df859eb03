"""Augmentation of training crops: five presets; the only place that imports albumentations."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from segkit.data.intensity import Intensity, change_intensity
from segkit.data.motion import Affine, Bend, Flip, Move, Transposition
from segkit.errors import UsageError, nearest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network on import otherwise
import albumentations as A

PresetName = Literal["none", "light", "standard", "strong", "alexnet"]
Unit = NDArray[np.float32]
Mask = NDArray[np.int16] | NDArray[np.float32]


@dataclass(frozen=True)
class Preset:
    """How far augmentation goes.

    Attributes:
        scale: magnification between 1/x and x; drawn by the crop, which has real pixels beyond its border to show.
        affine_share: share of the crops that are rotated and sheared.
        rotate: largest angle in degrees, either way.
        shear: largest shear in degrees, either way.
        elastic_share: share of the crops that are bent elastically.
        intensity: changes of the values.
    """

    scale: float = 1.0
    affine_share: float = 0.0
    rotate: float = 0.0
    shear: float = 0.0
    elastic_share: float = 0.0
    intensity: Intensity = field(default_factory=Intensity)


PRESETS: dict[str, Preset] = {
    "none": Preset(),
    "light": Preset(intensity=Intensity(contrast_share=0.5, contrast=1.1, brightness=0.05)),
    "standard": Preset(
        scale=1.25,
        affine_share=0.3,
        rotate=12,
        intensity=Intensity(
            contrast_share=0.6, contrast=1.3, brightness=0.1, gamma_share=0.2, gamma=1.25,
            color_share=0.5, saturation=1.4, balance=1.07, noise_share=0.15, noise=0.04, blur_share=0.1, blur=1.0,
        ),
    ),
    "strong": Preset(
        scale=1.5,
        affine_share=0.6,
        rotate=30,
        shear=8,
        elastic_share=0.3,
        intensity=Intensity(
            contrast_share=0.8, contrast=1.7, brightness=0.2, gamma_share=0.4, gamma=1.6,
            color_share=0.7, saturation=2.0, balance=1.15, noise_share=0.3, noise=0.08, blur_share=0.2, blur=2.0,
        ),
    ),
    "alexnet": Preset(intensity=Intensity(principal_color=0.1)),
}  # fmt: skip


class Augmenter:
    """Random changes to a crop and its mask that leave their meaning as it is.

    `none` changes nothing. The others flip left and right; `light` also changes contrast a little; `standard` (for
    anything from microscopy to streets) scales, rotates to 12 degrees and changes contrast, gamma, colour, noise and
    sharpness, each in a part of the crops; `strong` goes about twice as far and bends elastically, for few images and
    long training; `alexnet` shifts colours along the principal axes of the training set's (Krizhevsky et al. 2012,
    section 4.1; the crops of that section are the pipeline's). Borders are mirrored in image and mask alike, masks
    take the nearest pixel, values are never clipped.

    Args:
        preset: one of `PRESETS`.
        channels: channels of the images, 1 to 16; colours change only where there are three.
        orientation_free: whether the image has no up and no down (cells, aerial images): adds vertical flips and, for
            square crops, quarter turns. Streets and X-rays have an up, so it is off unless asked for.
        color_axes: (3, 3) principal axes of colour, which `alexnet` needs for three channels; see `segkit.data.color`.

    Raises:
        UsageError: unknown preset.
    """

    def __init__(
        self, preset: PresetName, channels: int, orientation_free: bool = False, color_axes: Unit | None = None
    ) -> None:
        if preset not in PRESETS:
            hint = nearest(preset, PRESETS) or f" Allowed: {', '.join(PRESETS)}."
            raise UsageError(f"unknown augmentation {preset!r}.{hint}")
        self.preset = preset
        self.channels = channels
        self.orientation_free = orientation_free
        self.color_axes = color_axes
        self._amount = PRESETS[preset] if channels == 3 else _without_color(PRESETS[preset])
        if self._amount.intensity.principal_color and color_axes is None:
            raise ValueError(
                f"{preset} shifts colours along the principal axes of the training images; give color_axes"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # albumentations only warns of arguments it does not know, and drops them
            self._geometry = A.Compose(_geometry(self._amount, orientation_free), save_applied_params=True)

    @property
    def scale(self) -> float:
        """Crops are to be magnified by a factor between 1/scale and scale before they come here."""
        return self._amount.scale

    def __call__(self, unit: Unit, mask: Mask | None, seed: int) -> tuple[Unit, Mask | None]:
        """Change unit values (H, W, C) and class indices (H, W), or maps (H, W, M), as drawn by `seed`; shapes stay.

        The draws depend on `seed` alone, not on earlier calls.
        """
        unit, mask, _ = self.change(unit, mask, seed)
        return unit, mask

    def change(self, unit: Unit, mask: Mask | None, seed: int) -> tuple[Unit, Mask | None, Sequence[Move]]:
        """As a call does, and how it moved what is in the crop; see `segkit.data.motion`."""
        if self.preset == "none":
            return unit, mask, ()
        generator = np.random.default_rng(seed)
        # One pair of generators for all transforms: albumentations' own set_random_seed starts each of them with the
        # same seed, so that transforms of equal share always act together (no horizontal flip without a vertical).
        self._geometry.set_random_state(generator, random.Random(seed))
        given = {"image": unit} if mask is None else {"image": unit, "mask": mask}
        changed = self._geometry(**given)
        unit, mask = changed["image"], changed.get("mask")
        moves = [_move(name, applied) for name, applied in changed["applied_transforms"]]
        if self.orientation_free and unit.shape[0] == unit.shape[1] and generator.random() < 0.5:
            unit, mask = unit.swapaxes(0, 1), None if mask is None else mask.swapaxes(0, 1)
            moves.append(Transposition())
        return change_intensity(unit, self._amount.intensity, generator, self.color_axes), mask, moves


def _without_color(amount: Preset) -> Preset:
    return replace(amount, intensity=replace(amount.intensity, color_share=0.0, principal_color=0.0))


def _geometry(amount: Preset, orientation_free: bool) -> list[Any]:
    borders = {
        "border_mode": cv2.BORDER_REFLECT_101,
        "interpolation": cv2.INTER_LINEAR,
        "mask_interpolation": cv2.INTER_NEAREST,
    }
    transforms = [A.HorizontalFlip(p=0.5)]
    if orientation_free:
        transforms.append(A.VerticalFlip(p=0.5))
    if amount.affine_share:
        rotate, shear = (-amount.rotate, amount.rotate), (-amount.shear, amount.shear)
        transforms.append(A.Affine(rotate=rotate, shear=shear, p=amount.affine_share, **borders))
    if amount.elastic_share:
        transforms.append(A.ElasticTransform(alpha=120, sigma=10, approximate=True, p=amount.elastic_share, **borders))
    return transforms


def _move(name: str, applied: Mapping[str, Any]) -> Move:
    """What a transform of albumentations has done, of its name and parameters.

    Its own way with boxes is not taken: it refuses those that reach beyond a crop, of which the visible share is asked,
    and counts mirror images as objects.
    """
    if name == "Affine":
        return Affine(applied["bbox_matrix"])
    if name == "ElasticTransform":
        return Bend(applied["map_x"], applied["map_y"])
    return Flip(sideways=name == "HorizontalFlip")
