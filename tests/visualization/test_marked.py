from __future__ import annotations

import numpy as np
import pytest

from segkit.structures import ClassMap
from segkit.visualization import marked_picture

CLASSES = ClassMap(("background", "cell"), ((0, 0, 0), (255, 0, 0)))


def test_small_images_are_enlarged_by_a_whole_factor_and_large_ones_shrunk() -> None:
    assert marked_picture(np.zeros((10, 30, 1), np.uint8), CLASSES, 100).shape == (30, 90, 3)
    assert marked_picture(np.zeros((100, 400), np.uint16), CLASSES, 100).shape == (25, 100, 3)


def test_the_mask_is_drawn_where_it_lies() -> None:
    indices = np.zeros((20, 20), np.int16)
    indices[5:15, 5:15] = 1
    indices[:3] = -1  # not counted
    picture = marked_picture(np.full((20, 20, 3), 100, np.uint8), CLASSES, 20, indices)
    assert picture[10, 10].tolist() == [162, 60, 60]  # two fifths of red
    assert picture[5, 5].tolist() == [255, 0, 0]  # the contour
    assert (picture[:3] == 100).all()
    assert (picture[17:] == 100).all()


def test_boxes_are_drawn_as_large_as_the_picture_is() -> None:
    box = ((2.0, 3.0, 8.0, 9.0), (0, 255, 0))
    picture = marked_picture(np.zeros((12, 12, 1), np.uint8), CLASSES, 120, boxes=[box])
    drawn = np.argwhere((picture == (0, 255, 0)).all(axis=2))
    assert drawn.min(axis=0).tolist() == [30, 20]
    assert drawn.max(axis=0).tolist() == [90, 80]


@pytest.mark.parametrize("box", [(-1e9, -1e12, 1e12, 1e9), (float("nan"), 0, 1, 1), (50, 50, 60, 60)])
def test_boxes_elsewhere_do_no_harm(box: tuple[float, float, float, float]) -> None:
    picture = marked_picture(np.zeros((12, 12, 1), np.uint8), CLASSES, 12, boxes=[(box, (0, 255, 0))])
    assert not picture.any()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"image \(4, 5\) and mask \(5, 4\) differ in size"):
        marked_picture(np.zeros((4, 5, 1), np.uint8), CLASSES, 10, np.zeros((5, 4), np.int16))
