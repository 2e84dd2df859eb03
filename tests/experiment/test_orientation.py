"""Whether a data set has an up and a down."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.experiment.orientation import has_up
from segkit.structures import ClassMap

CLASSES = ClassMap(("ground", "sky"))


def _masks(sky_rows: list[int]) -> list[NDArray[np.int16]]:
    masks = [np.zeros((20, 10), np.int16) for _ in sky_rows]
    for mask, rows in zip(masks, sky_rows, strict=True):
        mask[:rows] = 1
    return masks


def test_a_sky_makes_an_up() -> None:
    assert has_up(_masks([8, 9, 10, 7]), CLASSES)


def test_scattered_objects_make_none() -> None:
    generator = np.random.default_rng(0)
    assert not has_up([(generator.random((64, 64)) < 0.3).astype(np.int16) for _ in range(20)], CLASSES)


def test_objects_now_above_now_below_make_none() -> None:
    above, below = _masks([5])[0], _masks([5])[0][::-1]
    assert not has_up([above, below] * 8, CLASSES)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_masks_say_nothing(count: int) -> None:
    assert not has_up(_masks([8] * count), CLASSES)


def test_real_streets_have_an_up_and_membranes_do_not(datasets: Callable[[str], Path]) -> None:
    from segkit.data.image_io import read_mask

    streets = [read_mask(path) for path in sorted((datasets("camvid") / "trainannot").iterdir())[:32]]
    names = tuple(f"class {index}" for index in range(12))
    assert has_up([mask.astype(np.int16) for mask in streets], ClassMap(names))
    slices = [read_mask(path) for path in sorted((datasets("isbi2012_em") / "label").iterdir())]
    assert not has_up([(mask > 0).astype(np.int16) for mask in slices], CLASSES)
