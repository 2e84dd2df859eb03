from __future__ import annotations

import numpy as np
import pytest

from segkit.structures import ClassMap
from segkit.visualization import overlay

CLASSES = ClassMap(("background", "cell", "debris"), ((0, 0, 0), (200, 0, 100), (0, 120, 40)), ids=(0, 7, 300))
GRAY = np.full((12, 12, 3), 100, np.uint8)


def _mask() -> np.ndarray:
    mask = np.zeros((12, 12), np.uint16)
    mask[2:10, 2:7] = 7
    mask[2:10, 7:10] = 300
    return mask


def test_fill_blends_and_contours_are_the_classes_own_colors() -> None:
    picture = overlay(GRAY, _mask(), CLASSES, opacity=0.5, outline=1)
    assert picture[0, 0].tolist() == [100, 100, 100]
    assert picture[5, 4].tolist() == [150, 50, 100]
    assert picture[2, 4].tolist() == [200, 0, 100]
    assert picture[5, 7].tolist() == [0, 120, 40]
    assert picture[5, 6].tolist() == [200, 0, 100]


def test_contours_lie_inside_their_region() -> None:
    picture = overlay(GRAY, _mask(), CLASSES, opacity=0, outline=1)
    drawn = (picture != GRAY).any(axis=2)
    assert not drawn[_mask() == 0].any()
    assert drawn.sum() == _mask().astype(bool).sum() - 6 * 3 - 6 * 1


def test_opaque_fill_without_outline_shows_the_classes_alone() -> None:
    picture = overlay(GRAY, _mask(), CLASSES, opacity=1, outline=0)
    assert {tuple(color) for color in picture.reshape(-1, 3).tolist()} == {(100, 100, 100), (200, 0, 100), (0, 120, 40)}


def test_every_class_is_drawn_where_none_is_background() -> None:
    classes = ClassMap(("sky", "road"), ((10, 20, 30), (90, 80, 70)), background=None)
    picture = overlay(GRAY[:2, :2], np.array([[0, 1], [0, 1]], np.uint8), classes, opacity=1)
    assert picture.tolist() == [[[10, 20, 30], [90, 80, 70]]] * 2


def test_ids_that_are_no_class_stay_untouched() -> None:
    mask = np.array([[-1, 5], [7, 65_000]], np.int32)
    picture = overlay(GRAY[:2, :2], mask, CLASSES, opacity=1)
    assert (picture == GRAY[:2, :2]).all(axis=2).tolist() == [[True, True], [False, True]]


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"image \(12, 12\) and mask \(12, 11\) differ"):
        overlay(GRAY, _mask()[:, :11], CLASSES)
    with pytest.raises(ValueError, match="opacity 50 is not in"):
        overlay(GRAY, _mask(), CLASSES, opacity=50)
