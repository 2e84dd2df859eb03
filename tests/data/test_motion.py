"""Boxes go where augmentation moves their objects, as an image of their numbers changed by the same draw tells."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data.augment import Augmenter, PresetName
from segkit.data.motion import Affine, Bend, Flip, Transposition, made_up, move_boxes
from segkit.ops.boxes import boxes_of_ids
from segkit.structures import IGNORE_INDEX, Boxes

SIZE = (96, 128)


def ellipses(size: tuple[int, int], seed: int = 0) -> NDArray[np.int32]:
    """Numbered ellipses along the axes that do not touch, on a grid; some reach to the border."""
    ids, generator = np.zeros(size, np.int32), np.random.default_rng(seed)
    for y in range(12, size[0], 32):
        for x in range(12, size[1], 32):
            radii = generator.integers(4, 13, 2).tolist()
            cv2.ellipse(ids, (x, y), radii, 0, 0, 360, int(ids.max()) + 1, -1)
    return ids


def boxes_of(ids: NDArray[np.int32]) -> Boxes:
    count = int(ids.max())
    return Boxes(boxes_of_ids(ids, count), np.arange(count))


def changed_by(
    augmenter: Augmenter, ids: NDArray[np.int32], seed: int
) -> tuple[NDArray[np.int32], Boxes, NDArray[np.bool_]]:
    """Ids without what is made up, the moved boxes, and what is made up."""
    unit = np.zeros((*ids.shape, 1), np.float32)
    _, changed, moves = augmenter.change(unit, ids.astype(np.float32), seed)
    assert changed is not None
    hidden = made_up(moves, (ids.shape[0], ids.shape[1]))
    moved = move_boxes(boxes_of(ids), moves, (ids.shape[0], ids.shape[1]))
    return np.where(hidden, 0, changed).astype(np.int32), moved, hidden


@pytest.mark.parametrize("size", [SIZE, (96, 96)])
def test_flips_and_turns_are_exact(size: tuple[int, int]) -> None:
    ids, augmenter = ellipses(size), Augmenter("light", 1, orientation_free=True)
    poses = set()
    for seed in range(40):
        changed, moved, hidden = changed_by(augmenter, ids, seed)
        np.testing.assert_array_equal(moved.corners, boxes_of(changed).corners)
        assert not hidden.any()
        poses.add(moved.corners.tobytes())
    assert len(poses) == (4 if size == SIZE else 8)


@pytest.mark.parametrize(("preset", "most", "usual"), [("standard", 1.5, 0.2), ("strong", 4.0, 0.4)])
def test_boxes_fit_round_objects_that_are_turned_and_bent(preset: PresetName, most: float, usual: float) -> None:
    """In pixels, from each side of the moved box to that of the moved object's pixels."""
    augmenter, distances = Augmenter(preset, 1, orientation_free=True), []
    for seed in range(60):
        ids = ellipses((128, 128), seed)
        changed, moved, _ = changed_by(augmenter, ids, seed)
        tight = boxes_of_ids(changed, int(ids.max()))
        inside = np.all((moved.corners > 6) & (moved.corners < 122), axis=1)[: len(tight)]
        distances.append(np.abs(moved.corners[: len(tight)] - tight)[inside])
    found = np.concatenate(distances)
    assert len(found) > 200
    assert found.max() < most
    assert found.mean() < usual


def test_a_turn_by_hand() -> None:
    """A quarter turn about the middle: (x, y) goes to (10 - y, x)."""
    turn = Affine(np.array([[0, -1, 10], [1, 0, 0], [0, 0, 1]], np.float64))
    moved = turn.boxes(Boxes(np.array([[1, 2, 5, 4]], np.float32), np.array([3])), (10, 10))
    np.testing.assert_allclose(moved.corners, [[6, 1, 8, 5]], atol=1e-5)
    assert moved.labels.tolist() == [3]
    assert turn.shown(np.ones((10, 10), np.uint8)).all()


def test_what_a_mirrored_border_shows_again_does_not_count() -> None:
    """Moved down by 6 pixels, the first rows show rows 6, 5, 4 ... 1, OpenCV's reflection, and the object twice."""
    ids = np.zeros((20, 20), np.int32)
    ids[2:5, 8:12] = 1
    shift = np.array([[1, 0, 0], [0, 1, 6], [0, 0, 1]], np.float64)
    shown = cv2.warpAffine(ids.astype(np.float32), shift[:2], (20, 20), borderMode=cv2.BORDER_REFLECT_101)
    moved = move_boxes(boxes_of(ids), [Affine(shift)], (20, 20))
    assert moved.labels.tolist() == [0, IGNORE_INDEX]
    assert moved.corners.tolist() == [[8, 8, 12, 11], [8, 2, 12, 5]]
    expected = np.zeros((20, 20), bool)
    for left, top, right, bottom in moved.corners.astype(int):
        expected[top:bottom, left:right] = True
    np.testing.assert_array_equal(shown > 0, expected)
    hidden = made_up([Affine(shift)], (20, 20))
    assert hidden[:6].all()
    assert not hidden[6:].any()


@pytest.mark.parametrize("preset", ["standard", "strong"])
def test_made_up_pixels_are_those_beyond_the_crop(preset: PresetName) -> None:
    """By the place that the middle of each pixel comes from."""
    augmenter, size = Augmenter(preset, 1), (64, 64)
    for seed in range(30):
        *_, moves = augmenter.change(np.zeros((*size, 1), np.float32), None, seed)
        hidden = made_up(moves, size)
        turned = next((move for move in moves if isinstance(move, Affine)), None)
        if turned is None and not any(isinstance(move, Bend) for move in moves):
            assert not hidden.any()
        elif len(moves) == 1 and turned is not None:
            y, x = np.mgrid[:64, :64] + 0.5
            source = np.linalg.inv(turned.matrix) @ np.stack([x.ravel(), y.ravel(), np.ones(64 * 64)])
            beyond = ((source[:2] < 0) | (source[:2] > 64)).any(axis=0).reshape(size)
            assert (beyond != hidden).mean() < 0.01


def test_sides_beyond_a_crop_stay_where_they_are() -> None:
    y, x = np.mgrid[:40, :40].astype(np.float32)
    bend = Bend(x + 2, y)  # every pixel shows what lies two columns to its right
    boxes = Boxes(np.array([[10, 10, 20, 20], [-30, 5, 20, 30], [50, 50, 60, 60]], np.float32), np.arange(3))
    moved = bend.boxes(boxes, (40, 40))
    assert moved.corners.tolist() == [[8, 10, 18, 20], [-30, 5, 18, 30], [50, 50, 60, 60]]
    shown = bend.shown(np.ones((40, 40), np.uint8))
    assert not shown[:, 38:].any()
    assert shown[:, :38].all()


def test_moves_follow_one_another() -> None:
    boxes = Boxes(np.array([[1, 2, 5, 4]], np.float32), np.array([0]))
    moved = move_boxes(boxes, [Flip(sideways=True), Transposition()], (10, 10))
    assert moved.corners.tolist() == [[2, 5, 4, 9]]


def test_without_boxes_there_is_nothing_to_move() -> None:
    nothing, still = Boxes(np.empty((0, 4), np.float32), np.empty(0, np.int64)), np.zeros((4, 4), np.float32)
    moved = move_boxes(nothing, [Flip(sideways=True), Affine(np.eye(3)), Bend(still, still)], (4, 4))
    assert (moved.corners.shape, moved.labels.shape) == ((0, 4), (0,))
