"""Borders tell objects apart: by hand, and by growing real nuclei again from their insides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segkit.data.borders import LEAST_INSIDE, draw_cells
from segkit.data.image_io import read_mask
from segkit.ops.watershed import grow_objects
from segkit.structures import Instances


def nuclei(datasets: Callable[[str], Path]) -> list[Instances]:
    files = sorted((datasets("nuclei_dsb2018") / "labels").glob("*.png"))
    numbered = (np.unique(read_mask(file), return_inverse=True)[1].reshape(read_mask(file).shape) for file in files)
    return [Instances(ids.astype(np.int32), np.ones(ids.max(), np.int64)) for ids in numbered]


def best_overlaps(reference: Instances, found: Instances) -> NDArray[np.float64]:
    """(M,) largest intersection over union of each object of the reference with one that was found."""
    pairs = np.zeros((len(reference.labels) + 1, len(found.labels) + 1))
    np.add.at(pairs, (reference.ids, found.ids), 1)
    union = pairs.sum(axis=1, keepdims=True) + pairs.sum(axis=0, keepdims=True) - pairs
    return np.asarray((pairs / union.clip(min=1))[1:, 1:].max(axis=1, initial=0))


def test_a_border_by_hand() -> None:
    """Two pixels of each object, whether it touches another, or the ground."""
    ids = np.zeros((16, 16), np.int32)
    ids[2:15, 1:8], ids[2:15, 8:15] = 1, 2
    cells = draw_cells(Instances(ids, np.array([1, 2])), border=9)
    assert cells[5].tolist() == [0, 9, 9, 1, 1, 1, 9, 9, 9, 9, 2, 2, 2, 9, 9, 0]
    assert cells[:, 4].tolist() == [0, 0, 9, 9, *[1] * 9, 9, 9, 0]
    assert (cells[ids == 0] == 0).all()


def test_corners_are_as_far_as_the_watershed_has_steps() -> None:
    ids = np.zeros((14, 14), np.int32)
    ids[3:11, 3:11], ids[:3, :3] = 1, 2
    cells = draw_cells(Instances(ids, np.array([1, 1])), border=2)
    assert cells[5, 5] == 1  # the other object lies three rows and three columns away
    assert cells[4, 5] == cells[5, 4] == 2


def test_small_objects_keep_an_inside() -> None:
    ids = np.zeros((9, 30), np.int32)
    ids[3:5, 2:4], ids[2:6, 8:12], ids[4, 14:24], ids[1:9, 25:30] = 1, 2, 3, 4
    cells = draw_cells(Instances(ids, np.full(4, 1)), border=2)
    insides = np.bincount(ids[cells == 1], minlength=5)[1:]
    # No border of the first and of the thin one; one pixel of the second; two of the fourth, above and left of it.
    assert insides.tolist() == [4, 4, 10, 3 * 6]
    assert (insides >= LEAST_INSIDE * np.bincount(ids.ravel())[1:]).all()


def test_neither_the_edge_of_the_image_nor_what_does_not_count_makes_a_border() -> None:
    ids = np.ones((8, 8), np.int32)
    assert (draw_cells(Instances(ids, np.array([3])), border=4) == 3).all()
    ids[:, 5:] = -1
    cells = draw_cells(Instances(ids, np.array([3])), border=4)
    assert (cells[:, :5] == 3).all()
    assert (cells[:, 5:] == -1).all()
    nothing = draw_cells(Instances(np.zeros((4, 4), np.int32), np.empty(0, np.int64)), border=2)
    assert (nothing == 0).all()


def test_real_nuclei_grow_again_from_their_insides(datasets: Callable[[str], Path]) -> None:
    """Also where a network is as unsure as a Gaussian of a pixel makes it."""
    for sigma, at_least in ((0.0, 0.98), (1.0, 0.97)):
        overlaps = []
        for instances in nuclei(datasets)[::2]:
            cells = draw_cells(instances, border=2)
            maps = np.stack([ndimage.gaussian_filter((cells == index).astype(np.float32), sigma) for index in range(3)])
            found, _ = grow_objects(maps, seed_threshold=0.5, smallest_seed=1, smallest=1)
            overlaps.append(best_overlaps(instances, found))
        grown = np.concatenate(overlaps)
        assert len(grown) > 2000
        assert (grown >= 0.9).mean() > at_least
        assert (grown < 0.5).mean() < 0.002
