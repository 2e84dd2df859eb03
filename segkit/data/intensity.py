"""Random changes of intensity for images of any range and any number of channels. Nothing is clipped.

Unit values may lie outside 0..1 on purpose (16-bit and float images brighter than those of the training set). The usual
libraries clip float images to 0..1, and their gamma makes NaN of negative values: hence these few lines of our own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Unit = NDArray[np.float32]


@dataclass(frozen=True)
class Intensity:
    """How often and how far the intensities change: a share of the images and the widest change for each step.

    Factors are drawn between 1/x and x, evenly on a logarithmic scale; shifts between -x and x; widths between 0 and x.

    Attributes:
        contrast_share: share of the images whose contrast and brightness change.
        contrast: factor about the image's mean.
        brightness: shift.
        gamma_share: share of the images whose values are bent.
        gamma: exponent between the image's own smallest and largest value, which stay.
        color_share: share of the three-channel images whose saturation and white balance change.
        saturation: factor of the distance from gray.
        balance: factor of each channel.
        noise_share: share of the images that get noise.
        noise: standard deviation of Gaussian noise.
        blur_share: share of the images that are blurred.
        blur: standard deviation of the Gaussian in pixels.
        principal_color: standard deviation of the shifts along the principal axes of colour, in eigenvalues; every
            three-channel image is shifted.
    """

    contrast_share: float = 0.0
    contrast: float = 1.0
    brightness: float = 0.0
    gamma_share: float = 0.0
    gamma: float = 1.0
    color_share: float = 0.0
    saturation: float = 1.0
    balance: float = 1.0
    noise_share: float = 0.0
    noise: float = 0.0
    blur_share: float = 0.0
    blur: float = 0.0
    principal_color: float = 0.0


def change_intensity(
    unit: Unit, amount: Intensity, generator: np.random.Generator, color_axes: Unit | None = None
) -> Unit:
    """Change unit values (H, W, C) as drawn from `generator`; colour needs three channels.

    `color_axes` (3, 3), as `segkit.data.color.color_axes` measures them, are needed for `principal_color`.
    """
    if generator.random() < amount.contrast_share:
        shift = generator.uniform(-amount.brightness, amount.brightness)
        unit = stretch(unit, _factor(amount.contrast, generator), shift)
    if generator.random() < amount.gamma_share:
        unit = bend(unit, _factor(amount.gamma, generator))
    if generator.random() < amount.color_share:
        gains = [_factor(amount.balance, generator) for _ in range(3)]
        unit = recolor(unit, _factor(amount.saturation, generator), gains)
    if generator.random() < amount.noise_share:
        deviation = np.float32(generator.uniform(0, amount.noise))
        unit = unit + generator.standard_normal(unit.shape, np.float32) * deviation
    if generator.random() < amount.blur_share:
        unit = blur(unit, generator.uniform(0.3, amount.blur))
    if amount.principal_color and color_axes is not None:
        unit = unit + color_axes @ generator.normal(0, amount.principal_color, 3).astype(np.float32)
    return unit


def stretch(unit: Unit, contrast: float, brightness: float) -> Unit:
    """Multiply the distances from the mean, then shift."""
    return unit * np.float32(contrast) + np.float32(unit.mean() * (1 - contrast) + brightness)


def bend(unit: Unit, gamma: float) -> Unit:
    """Raise the values to a power between the smallest and the largest, which stay."""
    low, high = unit.min(), unit.max()
    if low == high:
        return unit
    return ((unit - low) / (high - low)) ** np.float32(gamma) * (high - low) + low


def recolor(unit: Unit, saturation: float, gains: list[float]) -> Unit:
    """Multiply the distances from gray (the mean of the channels), then each channel by its gain."""
    gray = unit.mean(axis=2, keepdims=True)
    return (gray + (unit - gray) * np.float32(saturation)) * np.asarray(gains, np.float32)


def blur(unit: Unit, sigma: float) -> Unit:
    """Convolve with a Gaussian, the border mirrored."""
    return cv2.GaussianBlur(unit, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).reshape(unit.shape)


def _factor(widest: float, generator: np.random.Generator) -> float:
    bound = math.log(widest)
    return math.exp(generator.uniform(-bound, bound))
