"""Objects that tiles cut come out once and whole, whatever their size and place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.inference.merging import TileBoxes, group_pieces, in_own_zone, joined
from segkit.inference.predictor import Predictor
from segkit.inference.tiling import Axis, Tile
from segkit.structures import TaskName
from tests.inference.test_objects import Squares, predictor

TILES: dict[str, Any] = {"whole_limit": 1, "tile": 64, "overlap": 0.5, "stride_multiple": 16}
"""Tiles of 64 pixels start at 0, 32, 64, ... and share strips of 32."""


def found_in_tiles(box: tuple[int, int, int, int], size: tuple[int, int] = (160, 160)) -> list[list[float]]:
    left, top, right, bottom = box
    image = np.zeros((*size, 1), np.uint8)
    image[top:bottom, left:right] = 240
    return predictor(("detect",), **TILES).detect(image).corners.tolist()


@pytest.mark.parametrize("side", [2, 9, 16, 31, 32])
def test_an_object_up_to_the_strip_comes_out_once_and_whole_wherever_it_lies(side: int) -> None:
    for start in range(0, 160 - side + 1, 3):
        across, down = (start, 20, start + side, 20 + side), (20, start, 20 + side, start + side)
        assert found_in_tiles(across, (64, 160)) == [list(across)]
        assert found_in_tiles(down, (160, 64)) == [list(down)]


@pytest.mark.parametrize(
    "box",
    [
        (10, 20, 75, 60),  # over one side
        (20, 10, 60, 75),
        (5, 5, 150, 40),  # over three tiles
        (30, 30, 90, 95),  # cut by four tiles, none of which shows it
        (0, 0, 160, 160),  # larger than any tile
        (33, 40, 96, 50),  # one tile shows it whole
        (31, 40, 97, 50),
    ],
)
def test_a_larger_object_is_put_together_from_its_pieces(box: tuple[int, int, int, int]) -> None:
    assert found_in_tiles(box) == [list(box)]


@pytest.mark.parametrize("box", [(30, 30, 90, 95), (10, 20, 70, 40), (5, 70, 25, 90)])
def test_a_network_that_is_some_pixels_off_finds_an_object_once(box: tuple[int, int, int, int]) -> None:
    class Inexact(Squares):
        """Each side of a box is up to two pixels off, another way in every tile."""

        random = np.random.default_rng(0)

        def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            outputs = super().run(images)
            boxes = outputs["detect/boxes"]
            return {**outputs, "detect/boxes": boxes + self.random.uniform(-2, 2, boxes.shape).astype(np.float32)}

    left, top, right, bottom = box
    image = np.zeros((160, 160, 1), np.uint8)
    image[top:bottom, left:right] = 240
    exact = predictor(("detect",), **TILES)
    for _ in range(20):
        found = Predictor(Inexact(), exact.pipeline, exact.heads).detect(image)
        assert len(found) == 1
        np.testing.assert_allclose(found.corners[0], box, atol=2)


def test_neighbours_of_one_class_stay_apart() -> None:
    image = np.zeros((160, 160, 1), np.uint8)
    image[20:30, 10:75] = image[40:50, 10:75] = 240
    found = predictor(("detect",), **TILES).detect(image)
    assert sorted(found.corners.tolist()) == [[10, 20, 75, 30], [10, 40, 75, 50]]


def test_zones_share_an_image_without_gap() -> None:
    axis = Axis.plan(208, 64, 0.5, 16)
    zones = [axis.zone(number) for number in range(len(axis.starts))]
    assert axis.starts == (0, 32, 64, 96, 128, 144)  # the last two share 48 pixels
    assert zones == [(0, 48), (48, 80), (80, 112), (112, 144), (144, 168), (168, 208)]
    assert sum(Tile(0, column, axis, axis).area for column in range(6)) == 48 * 208
    assert Axis.plan(60, 64, 0.5, 1).zone(0) == (0, 60)


def test_tiles_end_to_end_join_what_they_cut() -> None:
    axis, single = Axis.plan(128, 64, 0.0, 32), Axis.plan(64, 64, 0.0, 32)
    pieces = [
        TileBoxes(Tile(0, 0, single, axis), np.array([[40, 5, 64, 20], [1, 1, 9, 9]], np.float32), np.array([1, 1])),
        TileBoxes(
            Tile(0, 1, single, axis), np.array([[64, 5, 90, 19], [64, 30, 70, 40]], np.float32), np.array([1, 1])
        ),
    ]
    assert all(in_own_zone(piece.tile, piece.corners).all() for piece in pieces)
    numbers = group_pieces(pieces)
    assert numbers[0] == numbers[2]
    assert len(set(numbers.tolist())) == 3
    around = joined(np.concatenate([piece.corners for piece in pieces]), numbers)
    assert around[numbers[0]].tolist() == [40, 5, 90, 20]


def test_pieces_of_different_classes_are_different_objects() -> None:
    axis, single = Axis.plan(96, 64, 0.5, 32), Axis.plan(64, 64, 0.5, 32)
    corners = (np.array([[5, 5, 64, 20]], np.float32), np.array([[32, 5, 90, 20]], np.float32))
    for other, objects in ((1, 1), (0, 2)):
        pieces = [
            TileBoxes(Tile(0, column, single, axis), corners[column], np.array([label]))
            for column, label in enumerate((1, other))
        ]
        assert len(set(group_pieces(pieces).tolist())) == objects


@pytest.mark.parametrize("tasks", [("detect",), ("segment", "instances", "detect", "classify"), ("classify",)])
def test_the_network_sees_every_tile_once(tasks: tuple[TaskName, ...]) -> None:
    one = predictor(tasks, **TILES)
    one.predict(np.zeros((160, 96, 1), np.uint8))
    assert isinstance(one.engine, Squares)
    assert one.engine.calls == 4 * 2


def test_classes_of_tiles_count_by_their_own_part() -> None:
    class LeftOrRight(Squares):
        """Sure of one class or the other, as the tile is bright or dark."""

        def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            bright = float(images.max() > 0.5)
            return {"classify": np.array([[40 * bright, 40 - 40 * bright]], np.float32)}

    plain = predictor(("classify",), **TILES)
    image = np.zeros((64, 112, 1), np.uint8)  # tiles at 0, 32 and 48, whose parts end at 48 and 72
    image[:, :10] = 255
    found = Predictor(LeftOrRight(), plain.pipeline, plain.heads).classify(image)
    np.testing.assert_allclose(found.probabilities, [48 / 112, 64 / 112], rtol=1e-6)
