"""Conversions of channels: by hand, and OpenCV's."""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
import pytest

from segkit.ops.channels import convert_channels


@pytest.mark.parametrize(
    ("convert", "image", "expected"),
    [
        ("rgb", [[[7]]], [[[7, 7, 7]]]),
        ("gray", [[[255, 0, 0]]], [[[76]]]),  # 0.299 * 255 = 76.2
        ("gray", [[[10, 200, 90]]], [[[131]]]),  # 2.99 + 117.4 + 10.26 = 130.65
        ("gray", [[[9]]], [[[9]]]),
        (None, [[[1, 2, 3, 4]]], [[[1, 2, 3, 4]]]),
    ],
)
def test_channel_conversion_by_hand(
    convert: Literal["gray", "rgb"] | None, image: list[Any], expected: list[Any]
) -> None:
    converted = convert_channels(np.array(image, np.uint8), convert)
    assert converted.dtype == np.uint8
    assert converted.tolist() == expected


def test_gray_equals_opencv() -> None:
    image = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    difference = convert_channels(image, "gray")[..., 0].astype(int) - cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    assert np.abs(difference).max() <= 1
