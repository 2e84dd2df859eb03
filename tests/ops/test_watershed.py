"""Objects grown from probabilities."""

from __future__ import annotations

import numpy as np

from segkit.data.borders import draw_cells
from segkit.ops.watershed import grow_objects
from segkit.structures import Instances


def certain(cells: np.ndarray, count: int) -> np.ndarray:
    return np.stack([cells == index for index in range(count)]).astype(np.float32)


def test_touching_objects_come_back_with_their_classes() -> None:
    ids = np.zeros((24, 40), np.int32)
    ids[4:20, 4:18], ids[4:20, 18:34] = 1, 2  # they share a side
    cells = draw_cells(Instances(ids, np.array([1, 2])), border=3)
    found, scores = grow_objects(certain(cells, 4), seed_threshold=0.5, smallest_seed=1, smallest=4)
    np.testing.assert_array_equal(found.ids, ids)
    assert found.labels.tolist() == [1, 2]
    assert ((scores > 0.5) & (scores <= 1)).all()


def test_small_objects_are_left_out_and_nothing_gives_nothing() -> None:
    cells = np.zeros((9, 9), int)
    cells[1:3, 1:3], cells[5:8, 5:8] = 1, 1
    found, scores = grow_objects(certain(cells, 3), 0.5, smallest_seed=1, smallest=5)
    assert (found.ids > 0).sum() == 9
    assert len(scores) == len(found.labels) == 1
    empty, none = grow_objects(certain(np.zeros((4, 4), int), 3), 0.5, 1, 1)
    assert (empty.ids.max(), len(none)) == (0, 0)


def test_numbers_follow_the_reader_and_classes_the_sum() -> None:
    """The object whose first pixel comes first is 1, though its seed comes later."""
    maps = np.zeros((4, 12, 20), np.float32)
    maps[0] = 1
    maps[:, 2:8, 12:18] = np.array([0.1, 0.5, 0.4, 0])[:, None, None]
    maps[:, 0:10, 2:8] = np.array([0.1, 0, 0.2, 0.7])[:, None, None]
    maps[:, 6:9, 3:6] = np.array([0, 0.1, 0.9, 0])[:, None, None]
    found, scores = grow_objects(maps, seed_threshold=0.5, smallest_seed=1, smallest=1)
    assert found.ids[0, 2] == 1
    assert found.ids[2, 12] == 2
    assert found.labels.tolist() == [2, 1]
    np.testing.assert_allclose(scores, [(51 * 0.2 + 9) / 60, 0.9], rtol=1e-5)


def test_specks_of_insides_do_not_cut_an_object_in_pieces() -> None:
    cells = np.zeros((12, 20), int)
    cells[2:10, 2:18] = 2  # all border, but for a large inside and a speck
    cells[4:8, 4:10] = 1
    cells[5, 15] = 1
    maps = certain(cells, 3)
    assert len(grow_objects(maps, 0.5, smallest_seed=1, smallest=1)[0].labels) == 2
    found, _ = grow_objects(maps, 0.5, smallest_seed=2, smallest=1)
    np.testing.assert_array_equal(found.ids, cells > 0)
