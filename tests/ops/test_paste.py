"""Masks of fixed size in boxes, beside torchvision's own way of painting them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.models.detection.roi_heads import paste_masks_in_image

from segkit.ops.paste import paste_mask

SIZE = (90, 120)


def pasted(mask: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    image = np.zeros(SIZE, np.bool_)
    window, covered = paste_mask(mask, box, SIZE)
    image[window] = covered
    return image


def blob(seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).random((28, 28)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip((smooth - smooth.mean()) * 8 + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_equal_to_torchvision_within_a_pixel(seed: int) -> None:
    random = np.random.default_rng(seed)
    left, top = random.uniform(-20, 60, 2)
    box = np.array([left, top, left + random.uniform(15, 70), top + random.uniform(15, 60)], np.float32)
    mask = blob(seed)
    expected = paste_masks_in_image(torch.from_numpy(mask)[None, None], torch.from_numpy(box)[None], SIZE)
    reference = (expected[0, 0].numpy() >= 0.5).astype(np.uint8)
    found, cross = pasted(mask, box).astype(np.uint8), np.ones((3, 3), np.uint8)
    inside = np.zeros(SIZE, bool)
    inside[max(0, int(top) + 1) : int(box[3]) - 1, max(0, int(left) + 1) : int(box[2]) - 1] = True
    assert found.any()
    assert not (found & ~cv2.dilate(reference, cross))[inside].any()
    assert not (reference & ~cv2.dilate(found, cross))[inside].any()
    assert (found != reference).mean() < 0.02


def test_a_full_mask_covers_the_pixels_whose_middle_lies_in_the_box() -> None:
    mask: NDArray[np.float32] = np.ones((28, 28), np.float32)
    image = pasted(mask, np.array([10, 20, 30, 25], np.float32))
    expected = np.zeros(SIZE, bool)
    expected[20:25, 10:30] = True
    np.testing.assert_array_equal(image, expected)
    rows, columns = pasted(mask, np.array([10.4, 20.6, 12.6, 22.4], np.float32)).nonzero()
    assert (rows.tolist(), columns.tolist()) == ([21, 21, 21], [10, 11, 12])


def test_beyond_the_image_nothing_is_covered() -> None:
    mask: NDArray[np.float32] = np.ones((28, 28), np.float32)
    assert pasted(mask, np.array([-10, -10, 5, 4], np.float32)).sum() == 20
    window, covered = paste_mask(mask, np.array([200, 10, 220, 20], np.float32), SIZE)
    assert covered.size == 0
    assert np.zeros(SIZE)[window].size == 0
