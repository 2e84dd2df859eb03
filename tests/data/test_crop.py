"""Crops: where they lie, how often, and what is beyond the border."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data.crop import (
    Window,
    choose_window,
    cut_boxes,
    cut_image,
    cut_mask,
    place_boxes,
    resize_mask,
    scaled_size,
)
from segkit.structures import IGNORE_INDEX, Boxes


def test_uniform_windows_reach_every_position_equally_often() -> None:
    generator = np.random.default_rng(0)
    tops = Counter(choose_window((10, 20), (6, 20), generator).top for _ in range(5000))
    assert sorted(tops) == [0, 1, 2, 3, 4]
    assert min(tops.values()) > 900


def test_foreground_windows_hold_the_pixel_in_their_middle_half() -> None:
    mask = np.zeros((200, 300), np.int16)
    mask[120, 77] = 2
    generator = np.random.default_rng(1)
    for _ in range(200):
        window = choose_window((200, 300), (40, 60), generator, mask, (1, 2), 1.0)
        assert 10 <= 120 - window.top <= 30
        assert 15 <= 77 - window.left <= 45


def test_foreground_at_the_border_gives_the_nearest_window_inside() -> None:
    mask = np.zeros((100, 100), np.int16)
    mask[0, 99] = 1
    window = choose_window((100, 100), (40, 40), np.random.default_rng(0), mask, (1,), 1.0)
    assert window == Window(0, 60, 40, 40)


def test_rare_classes_are_drawn_as_often_as_common_ones() -> None:
    mask = np.ones((64, 64), np.int16)
    mask[:32] = IGNORE_INDEX
    mask[40, 10] = 2
    generator = np.random.default_rng(0)
    rare = sum(choose_window((64, 64), (1, 1), generator, mask, (0, 1, 2), 1.0)[:2] == (40, 10) for _ in range(2000))
    assert 900 < rare < 1100


def test_the_share_of_foreground_windows_is_the_one_asked_for() -> None:
    mask = np.zeros((300, 300), np.int16)
    mask[150, 150] = 1
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        window = choose_window((300, 300), (10, 10), generator, mask, (1,), 0.3)
        hits += bool(cut_mask(mask, window).any())
    assert 520 < hits < 680


def test_a_mask_without_foreground_is_cropped_anywhere() -> None:
    mask = np.full((30, 30), IGNORE_INDEX, np.int16)
    generator = np.random.default_rng(0)
    assert len({choose_window((30, 30), (10, 10), generator, mask, (1, 2), 1.0) for _ in range(50)}) > 30


def test_small_images_are_centred_mirrored_and_ignored_beyond() -> None:
    image = np.array([[1, 2, 3]], np.uint16)[..., None]
    mask = np.array([[0, 1, 2]], np.int16)
    window = choose_window((1, 3), (2, 6), np.random.default_rng(0), mask, (1,), 1.0)
    assert window == Window(-1, -2, 2, 6)
    np.testing.assert_array_equal(cut_image(image, window)[..., 0], [[3, 2, 1, 2, 3, 2]] * 2)
    assert cut_image(image, window).dtype == np.uint16
    expected = np.full((2, 6), IGNORE_INDEX)
    expected[1, 2:5] = [0, 1, 2]
    np.testing.assert_array_equal(cut_mask(mask, window), expected)


def test_a_window_inside_is_a_plain_slice() -> None:
    image = np.arange(5 * 7 * 2, dtype=np.uint8).reshape(5, 7, 2)
    window = Window(1, 2, 3, 4)
    np.testing.assert_array_equal(cut_image(image, window), image[1:4, 2:6])
    np.testing.assert_array_equal(cut_mask(image[..., 0].astype(np.int16), window), image[1:4, 2:6, 0])


@pytest.mark.parametrize("channels", [1, 3, 7, 16])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_mirroring_is_numpys_reflection(channels: int, dtype: type) -> None:
    image: NDArray[Any] = np.random.default_rng(0).integers(0, 200, (5, 6, channels)).astype(dtype)
    expected = np.pad(image, ((2, 3), (4, 1), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(cut_image(image, Window(-2, -4, 10, 11)), expected)


def test_scaled_sizes_are_spread_evenly_between_smaller_and_larger() -> None:
    generator = np.random.default_rng(0)
    heights = np.array([scaled_size((100, 200), 2.0, generator)[0] for _ in range(2000)])
    assert heights.min() >= 50
    assert heights.max() <= 200
    assert (heights < 100).mean() == pytest.approx(0.5, abs=0.04)
    assert scaled_size((100, 200), 1.0, generator) == (100, 200)


def test_resized_masks_hold_only_values_they_had() -> None:
    mask = np.random.default_rng(0).choice(np.array([-1, 3, 700], np.int16), (37, 53))
    resized = resize_mask(mask, (64, 64))
    assert resized.shape == (64, 64)
    assert resized.dtype == np.int16
    assert set(np.unique(resized)) == {-1, 3, 700}
    np.testing.assert_array_equal(resize_mask(np.kron(mask, np.ones((2, 2), np.int16)), (37, 53)), mask)


def test_equal_generators_give_equal_windows() -> None:
    mask = np.random.default_rng(0).integers(0, 3, (90, 90)).astype(np.int16)
    drawn = [
        [choose_window((90, 90), (32, 32), generator, mask, (1, 2), 0.5) for _ in range(10)]
        for generator in (np.random.default_rng(7), np.random.default_rng(7))
    ]
    assert drawn[0] == drawn[1]


def test_windows_lie_around_objects_of_rare_classes_as_often_as_of_common_ones() -> None:
    corners = np.array([[10, 10, 20, 20]] * 9 + [[70, 80, 80, 90], [40, 40, 50, 50]], np.float32)
    boxes = Boxes(corners, np.array([0] * 9 + [1, IGNORE_INDEX]))
    generator = np.random.default_rng(0)
    places = Counter(choose_window((100, 100), (1, 1), generator, boxes, (0, 1, 2), 1.0)[:2] for _ in range(2000))
    assert places.keys() == {(15, 15), (85, 75)}
    assert 900 < places[85, 75] < 1100


def test_placed_boxes_are_pixels_of_the_resized_window() -> None:
    boxes = Boxes(np.array([[4, 6, 14, 8], [-50, 0, 0, 10]], np.float32), np.array([2, 0]))
    placed = place_boxes(boxes, Window(2, 4, 10, 20), (40, 60), (20, 60))
    assert placed.corners.tolist() == [[0, 8, 30, 12], [-162, -4, -12, 16]]
    assert placed.labels.tolist() == [2, 0]


def test_regions_beyond_the_image_do_not_count() -> None:
    nothing = Boxes(np.empty((0, 4), np.float32), np.empty(0, np.int64))
    found = place_boxes(nothing, Window(-5, -3, 30, 30), (20, 22), (60, 60))
    covered = np.zeros((60, 60), bool)
    for left, top, right, bottom in found.corners.astype(int):
        covered[top:bottom, left:right] = True
    expected = np.ones((60, 60), bool)
    expected[10:50, 6:50] = False
    np.testing.assert_array_equal(covered, expected)
    assert (found.labels == IGNORE_INDEX).all()


def test_an_object_stays_where_half_of_it_shows() -> None:
    corners = [[0, 0, 10, 10], [15, 0, 25, 10], [16, 0, 26, 10], [-4, -4, 8, 8], [20, 0, 30, 10], [-9, -9, 29, 29]]
    found = cut_boxes(Boxes(np.array(corners, np.float32), np.arange(6)), (20, 20))
    assert found.corners[:4].tolist() == [[0, 0, 10, 10], [15, 0, 20, 10], [16, 0, 20, 10], [0, 0, 8, 8]]
    assert found.corners[5].tolist() == [0, 0, 20, 20]
    assert found.labels.tolist() == [0, 1, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX, IGNORE_INDEX]
