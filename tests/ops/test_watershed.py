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
    found, scores = grow_objects(certain(cells, 4), seed_threshold=0.5, smallest=4)
    np.testing.assert_array_equal(found.ids, ids)
    assert found.labels.tolist() == [1, 2]
    assert ((scores > 0.5) & (scores <= 1)).all()


def test_small_objects_are_left_out_and_nothing_gives_nothing() -> None:
    cells = np.zeros((9, 9), int)
    cells[1:3, 1:3], cells[5:8, 5:8] = 1, 1
    found, scores = grow_objects(certain(cells, 3), 0.5, smallest=5)
    assert (found.ids > 0).sum() == 9
    assert len(scores) == len(found.labels) == 1
    empty, none = grow_objects(certain(np.zeros((4, 4), int), 3), 0.5, 1)
    assert (empty.ids.max(), len(none)) == (0, 0)
