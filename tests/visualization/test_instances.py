"""Objects in colours that tell neighbours apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.visualization.instances import COLORS, draw_instances, instances_side_by_side, neighbour_colors

GRAY = np.full((40, 40, 3), 100, np.uint8)


def squares(side: int = 10, count: int = 4) -> NDArray[np.int32]:
    """Objects that touch, in rows."""
    numbers = np.arange(1, count * count + 1, dtype=np.int32).reshape(count, count)
    return np.kron(numbers, np.ones((side, side), np.int32))


@pytest.mark.parametrize("seed", range(5))
def test_neighbours_have_different_colors(seed: int) -> None:
    generator = np.random.default_rng(seed)
    order = np.concatenate([[0], 1 + generator.permutation(16)]).astype(np.int32)
    ids = order[squares()]
    colors = neighbour_colors(ids)[ids]
    for one, other, same in (
        (colors[:-1], colors[1:], ids[:-1] == ids[1:]),
        (colors[:, :-1], colors[:, 1:], ids[:, :-1] == ids[:, 1:]),
    ):
        assert ((one == other) == same).all()
    assert set(np.unique(colors)) <= set(range(len(COLORS)))


def test_objects_are_filled_and_outlined_in_one_color() -> None:
    ids = np.zeros((40, 40), np.int32)
    ids[10:30, 10:30] = 1
    picture = draw_instances(GRAY, ids, opacity=0.5)
    color = COLORS[neighbour_colors(ids)[1]]
    assert picture[10, 20].tolist() == color.tolist()
    np.testing.assert_allclose(picture[20, 20], (color + 100.0) / 2, atol=1)
    assert (picture[ids == 0] == 100).all()


def test_an_edge_runs_between_objects_that_touch() -> None:
    picture = draw_instances(GRAY, squares(), opacity=0)
    changed = (picture != 100).any(axis=2)
    assert changed[9:11].all()
    assert not changed[12:18, 12:18].any()


def test_what_is_not_counted_stays_as_it_is() -> None:
    ids = np.full((40, 40), -1, np.int32)
    ids[:, :20] = 0
    np.testing.assert_array_equal(draw_instances(GRAY, ids), GRAY)


def test_ids_beyond_sixteen_bits_have_edges() -> None:
    ids = np.full((40, 40), 65_537, np.int32)
    ids[:, 20:] = 1
    changed = (draw_instances(GRAY, ids, opacity=0) != 100).any(axis=2)
    assert changed[:, 19:21].all()


def test_marked_and_found_stand_beside_each_other() -> None:
    ids = squares()
    picture = instances_side_by_side(GRAY, ids, np.zeros_like(ids))
    assert picture.shape == (560, 560 + 12 + 560, 3)
    assert (picture[:, 572:] == 100).all()
    assert (picture[:, :560] != 100).any()
