from __future__ import annotations

import numpy as np
import pytest

from segkit.visualization import to_display


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_any_image_becomes_rgb(channels: int, dtype: type[np.generic]) -> None:
    values = np.random.default_rng(0).integers(0, 200, (5, 6, channels))
    picture = to_display(values.astype(dtype))
    assert picture.shape == (5, 6, 3)
    assert picture.dtype == np.uint8


def test_eight_bit_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(np.uint8)
    np.testing.assert_array_equal(to_display(image), image)
    np.testing.assert_array_equal(to_display(image[..., 0]), np.repeat(image[..., :1], 3, axis=2))


def test_two_channels_become_red_and_green() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 2)).astype(np.uint8)
    picture = to_display(image)
    np.testing.assert_array_equal(picture[..., :2], image)
    assert not picture[..., 2].any()


def test_sixteen_bit_ramp_fills_the_range() -> None:
    ramp = np.linspace(1000, 5000, 1001).astype(np.uint16).reshape(7, 143)
    picture = to_display(ramp)[..., 0]
    assert picture.min() == 0
    assert picture.max() == 255
    assert float(picture[3, 71]) == pytest.approx(127.5, abs=1)
    assert len(np.unique(picture)) == 256


def test_color_keeps_its_balance_and_other_channels_do_not_hide_each_other() -> None:
    ramp = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    color = to_display(np.stack([ramp, ramp * 0.5, ramp * 0], axis=2))
    assert color[-1, -1, 0] == 255
    assert int(color[-1, -1, 1]) == pytest.approx(128, abs=2)
    many = to_display(np.stack([ramp, ramp * 0.01, ramp, ramp, ramp], axis=2))
    assert many[-1, -1, 1] == 255


def test_values_that_are_no_numbers_are_black() -> None:
    image = np.linspace(1, 2, 100, dtype=np.float32).reshape(10, 10)
    image[9, 9], image[9, 8] = np.nan, np.inf
    picture = to_display(image)
    assert not picture[9, 8:].any()
    assert picture[9, 7, 0] > 240
    assert not to_display(np.full((3, 3), np.nan, np.float32)).any()


def test_constant_image_has_no_false_contrast() -> None:
    assert len(np.unique(to_display(np.full((8, 8), 700, np.uint16)))) == 1
