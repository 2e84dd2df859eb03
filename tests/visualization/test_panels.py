from __future__ import annotations

import numpy as np
import pytest

from segkit.structures import ClassMap
from segkit.visualization import overlay, side_by_side, split_panels, thumbnail
from segkit.visualization.errors import CONFUSED, IGNORED, INVENTED, MISSED, error_map, error_share

CLASSES = ClassMap(("background", "a", "b"), ((0, 0, 0), (200, 0, 100), (0, 120, 40)))
REFERENCE = np.array([[0, 1, 2, 1], [0, 1, 2, -1]], np.int32)
PREDICTION = np.array([[0, 0, 1, 1], [2, 1, 2, 0]], np.uint8)
GRAY = np.full((2, 4, 3), 100, np.uint8)


def test_error_map_tells_the_kinds_of_error_apart() -> None:
    picture = error_map(GRAY, REFERENCE, PREDICTION, CLASSES)
    assert tuple(picture[0, 1]) == MISSED
    assert tuple(picture[1, 0]) == INVENTED
    assert tuple(picture[0, 2]) == CONFUSED
    assert tuple(picture[1, 3]) == IGNORED
    assert picture[0, 0].tolist() == picture[1, 1].tolist() == [45, 45, 45]


def test_error_share_counts_no_ignored_pixel() -> None:
    assert error_share(REFERENCE, PREDICTION, CLASSES) == pytest.approx(3 / 7)


def test_without_background_every_error_is_a_confusion() -> None:
    classes = ClassMap(("a", "b"), background=None)
    picture = error_map(GRAY[:1, :2], np.array([[0, 1]]), np.array([[1, 1]]), classes)
    assert tuple(picture[0, 0]) == CONFUSED


@pytest.mark.parametrize("size", [(400, 500), (2, 4), (280, 280), (1000, 300), (1, 1)])
def test_panels_come_back_whole(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 255, (*size, 3)).astype(np.uint8)
    mask = generator.integers(0, 3, size)
    panels = split_panels(side_by_side(image, mask, mask, CLASSES, "name"))
    assert len(panels) == 4
    assert len({panel.shape for panel in panels}) == 1
    height, width = panels[0].shape[:2]
    if max(size) <= 560:
        factor = height // size[0]
        expected = np.kron(image, np.ones((factor, factor, 1), np.uint8))
        np.testing.assert_array_equal(panels[0][:, : size[1] * factor], expected)
        np.testing.assert_array_equal(panels[1], panels[2])
    else:
        assert (height, width) == (560, 168)


def test_thumbnail_shrinks_large_images_and_enlarges_small_ones_by_whole_pixels() -> None:
    assert thumbnail(np.zeros((3000, 4000, 3), np.uint8)).shape == (420, 560, 3)
    digit = np.random.default_rng(0).integers(0, 255, (28, 28)).astype(np.uint8)
    np.testing.assert_array_equal(thumbnail(digit)[..., 0], np.kron(digit, np.ones((10, 10), np.uint8)))


def test_panels_show_reference_and_prediction() -> None:
    generator = np.random.default_rng(1)
    image = generator.integers(0, 255, (300, 320, 3)).astype(np.uint8)
    reference, prediction = generator.integers(0, 3, (2, 300, 320))
    panels = split_panels(side_by_side(image, reference, prediction, CLASSES))
    np.testing.assert_array_equal(panels[1], overlay(image, reference, CLASSES))
    np.testing.assert_array_equal(panels[2], overlay(image, prediction, CLASSES))
    np.testing.assert_array_equal(panels[3], error_map(image, reference, prediction, CLASSES))


def test_ids_apart_from_indices_give_the_same_picture() -> None:
    spread = ClassMap(CLASSES.names, CLASSES.colors, ids=(5, 9, 1000))
    ids = np.where(REFERENCE < 0, -1, np.array(spread.ids)[REFERENCE])
    np.testing.assert_array_equal(
        side_by_side(GRAY, ids, spread.indices_to_ids(PREDICTION), spread),
        side_by_side(GRAY, REFERENCE, PREDICTION, CLASSES),
    )


def test_long_titles_and_many_classes_stay_inside() -> None:
    many = ClassMap(tuple(f"a rather long class name {i}" for i in range(40)))
    mask = np.arange(1600).reshape(40, 40) % 40
    short = side_by_side(np.zeros((40, 40), np.uint8), mask, mask, many)
    long = side_by_side(np.zeros((40, 40), np.uint8), mask, mask, many, "folder/" * 60 + "\nname")
    assert long.shape == short.shape
    np.testing.assert_array_equal(long[36:], short[36:])
