"""Boxes and their names on pictures of any size."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.structures import ClassMap
from segkit.visualization.boxes import boxes_side_by_side, draw_boxes, visible_color
from segkit.visualization.labels import is_bright, label_size, letter_size, write_caption

CLASSES = ClassMap(("cat", "dog"), ((250, 120, 0), (0, 0, 130)), background=None)


def drawn(size: tuple[int, int], corners: list[list[float]], labels: list[int], ground: int = 90) -> NDArray[np.bool_]:
    """(H, W) what differs from the image."""
    image = np.full((*size, 3), ground, np.uint8)
    picture = draw_boxes(
        image, np.array(corners, np.float32).reshape(-1, 4), np.array(labels), CLASSES, [0.9] * len(labels)
    )
    assert picture.shape == image.shape
    assert (image == ground).all()
    return np.asarray((picture != ground).any(axis=2))


@pytest.mark.parametrize("side", [60, 600, 2000])
def test_lines_run_around_the_object(side: int) -> None:
    box = [0.3 * side, 0.4 * side, 0.9 * side, 0.8 * side]
    changed = drawn((side, side), [box], [0])
    left, top, right, bottom = (round(edge) for edge in box)
    assert not changed[top:bottom, left:right].any()
    width = changed[(top + bottom) // 2, :left].sum()
    assert 1 <= width <= max(1, side / 150)
    assert changed[top:bottom, left - 1].all()
    assert changed[top:bottom, right].all()


@pytest.mark.parametrize(("side", "least"), [(60, 10), (600, 12), (4000, 80)])
def test_names_are_as_large_as_the_picture_asks_for(side: int, least: int) -> None:
    assert letter_size((side, side // 2)) >= least
    width, height = label_size("cat 0.90", letter_size((side, side)))
    assert width <= side
    size = side // 2, side
    named = drawn(size, [[0, side / 4, side, side / 2]], [0])
    above = named[: side // 4 - 4 * max(1, side // 300)]
    assert above.any(axis=1).sum() == pytest.approx(height, abs=2 + side / 100)


def test_a_small_object_is_never_hidden_by_a_name() -> None:
    changed = drawn((200, 300), [[50, 60, 150, 160], [55, 45, 65, 55]], [0, 1])
    assert not changed[45:55, 55:65].any()
    assert not changed[60:160, 66:150].any()


def test_names_do_not_cover_each_other() -> None:
    corners = [[100.0 + 3 * step, 100.0 + 3 * step, 200, 200] for step in range(6)]
    image = np.full((300, 300, 3), 90, np.uint8)
    picture = draw_boxes(image, np.array(corners, np.float32), np.zeros(6, np.int64), CLASSES)
    height = label_size("cat", letter_size((300, 300)))[1]
    ground = (picture == CLASSES.colors[0]).all(axis=2)
    runs = [row for row in range(300) if ground[row].sum() > 0]
    assert len(runs) > height  # one is named at least
    assert not (drawn((300, 300), corners, [0] * 6) & ~ground)[:60].any()


def test_boxes_at_the_border_keep_four_lines() -> None:
    changed = drawn((100, 400), [[0, 0, 400, 100]], [1])
    for line in (changed[0], changed[-1], changed[:, 0], changed[:, -1]):
        assert line.all()


def test_rims_and_letters_contrast_with_the_color() -> None:
    for label, rim in ((0, 0), (1, 255)):
        picture = draw_boxes(
            np.full((300, 300, 3), 90, np.uint8), np.array([[50, 50, 250, 250]], np.float32), np.array([label]), CLASSES
        )
        assert (picture[150, 40:50] == rim).all(axis=1).any()
    assert is_bright((250, 120, 0))
    assert not is_bright((0, 0, 130))


def test_black_classes_are_drawn_in_yellow() -> None:
    assert visible_color(ClassMap(("cat",), background=None), 0) == (255, 210, 0)
    assert visible_color(CLASSES, 1) == (0, 0, 130)


def test_captions_fit_the_picture() -> None:
    picture = np.full((60, 60, 3), 90, np.uint8)
    captioned = write_caption(picture, "a very long name of a class 0.98")
    changed = (captioned != 90).any(axis=2)
    assert captioned.shape == picture.shape
    assert changed[:8, :50].all()
    assert not changed[16:].any()


class Found:
    corners = np.array([[0, 0, 20, 20]], np.float32)
    labels = np.array([0])
    scores = np.array([0.5], np.float32)


def test_marked_and_found_stand_beside_each_other() -> None:
    marked = np.array([[10, 10, 30, 30]], np.float32), np.array([1])
    picture = boxes_side_by_side(np.full((40, 80, 3), 90, np.uint8), CLASSES, marked, Found())
    assert picture.shape == (280, 560 + 12 + 560, 3)
    assert (picture[:, 560:572] == 255).all()
    left, right = picture[:, :560].reshape(-1, 3), picture[:, 572:].reshape(-1, 3)
    for side, own, other in ((left, 1, 0), (right, 0, 1)):
        assert (side == CLASSES.colors[own]).all(axis=1).any()
        assert not (side == CLASSES.colors[other]).all(axis=1).any()
