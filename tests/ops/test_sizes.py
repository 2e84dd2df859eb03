"""Padding is what NumPy and OpenCV compute, and is taken off exactly."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from segkit.ops.sizes import crop, pad_mirrored, padding_to_multiple


@pytest.mark.parametrize(
    ("height", "width", "multiple", "expected"),
    [(32, 64, 32, (0, 0, 0, 0)), (1, 1, 32, (15, 16, 15, 16)), (255, 257, 16, (0, 1, 7, 8)), (5, 7, 1, (0, 0, 0, 0))],
)
def test_padding_by_hand(height: int, width: int, multiple: int, expected: tuple[int, int, int, int]) -> None:
    assert padding_to_multiple(height, width, multiple) == expected


@pytest.mark.parametrize(
    ("side", "expected"), [(1, (1, 2)), (4, (0, 0)), (5, (7, 8)), (16, (2, 2)), (20, (0, 0)), (388, (0, 0))]
)
def test_padding_to_sixteens_and_four_by_hand(side: int, expected: tuple[int, int]) -> None:
    assert padding_to_multiple(side, 20, 16, remainder=4) == (*expected, 0, 0)


def test_mirrors_without_repeating_the_border() -> None:
    row = np.array([[1, 2, 3]], np.uint8)
    assert pad_mirrored(row, (0, 0, 2, 4)).tolist() == [[3, 2, 1, 2, 3, 2, 1, 2, 3]]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (7, 13), (40, 31)])
@pytest.mark.parametrize("padding", [(3, 5, 0, 9), (31, 31, 40, 2)])
def test_equals_numpy_and_opencv(size: tuple[int, int], padding: tuple[int, int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 65536, (3, *size), dtype=np.uint16)
    top, bottom, left, right = padding
    padded = pad_mirrored(image, padding)
    assert padded.dtype == np.uint16
    assert np.array_equal(padded, np.pad(image, ((0, 0), (top, bottom), (left, right)), mode="reflect"))
    assert np.array_equal(padded[0], cv2.copyMakeBorder(image[0], *padding, cv2.BORDER_REFLECT_101))


@pytest.mark.parametrize("size", [(1, 1), (7, 13), (64, 32)])
def test_crop_takes_the_padding_off(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((2, *size)).astype(np.float32)
    padding = padding_to_multiple(*size, 32)
    padded = pad_mirrored(image, padding)
    assert padded.shape[1] % 32 == padded.shape[2] % 32 == 0
    assert np.array_equal(crop(padded, padding), image)


def test_nothing_to_pad_copies_nothing() -> None:
    image = np.zeros((4, 4))
    assert pad_mirrored(image, (0, 0, 0, 0)) is image
