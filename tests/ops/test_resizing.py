"""Resizing is OpenCV's, for any number of channels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segkit.ops.resizing import resize


@pytest.mark.parametrize("channels", [1, 3, 4, 16])
@pytest.mark.parametrize("size", [(13, 17), (90, 80)])
def test_resize_takes_any_number_of_channels(channels: int, size: tuple[int, int]) -> None:
    image = np.random.default_rng(2).random((40, 50, channels)).astype(np.float32)
    rule = cv2.INTER_AREA if size == (13, 17) else cv2.INTER_LINEAR
    resized = resize(image, size)
    assert resized.shape == (*size, channels)
    np.testing.assert_allclose(resized[..., -1], cv2.resize(image[..., -1], size[::-1], interpolation=rule))


def test_shrinking_averages() -> None:
    image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    assert resize(image, (2, 2)).ravel().tolist() == [2.5, 4.5, 10.5, 12.5]
