from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data.facts import MaskFacts, class_pixels, hidden_share, pixel_hash
from segkit.data.pixel_statistics import LISTED_VALUES, count_values, measure_intensities
from segkit.ops import blocks
from segkit.structures import IGNORE_INDEX, ClassMap


def random_image(dtype: str, channels: int) -> NDArray[Any]:
    generator = np.random.default_rng(0)
    if dtype == "float32":
        return generator.normal(3, 10, (57, 83, channels)).astype(np.float32)
    return generator.integers(5, np.iinfo(dtype).max // 2, (57, 83, channels)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_intensities_equal_numpy(dtype: str, channels: int) -> None:
    image = random_image(dtype, channels)
    measured = measure_intensities(image)
    np.testing.assert_allclose(measured.mean, image.mean(axis=(0, 1), dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(measured.std, image.std(axis=(0, 1), dtype=np.float64), rtol=1e-9)
    expected = np.percentile(image, [0.1, 99.9], axis=(0, 1), method="inverted_cdf")
    assert np.array_equal([measured.percentile_low, measured.percentile_high], expected)
    assert (measured.minimum, measured.maximum) == (image.min(), image.max())
    assert measured.not_finite == 0


def test_intensities_leave_out_what_is_not_finite() -> None:
    image = np.array([[[1.0, 5.0], [np.nan, 7.0], [3.0, np.inf]]], np.float32)
    measured = measure_intensities(image)
    assert (measured.mean, measured.minimum, measured.maximum) == ((2.0, 6.0), 1.0, 7.0)
    assert measured.not_finite == pytest.approx(2 / 6)


def test_colours_hidden_by_transparency_are_measured() -> None:
    pixels = np.zeros((4, 5, 4), np.uint8)
    pixels[..., 3] = 255
    assert hidden_share(pixels) == 0
    pixels[:2, :, 3] = 100
    assert hidden_share(pixels) == 0  # one colour beneath: nothing is hidden
    pixels[0, 0, 1] = 9
    assert hidden_share(pixels) == 0.5
    deep = pixels.astype(np.uint16) * 257
    assert hidden_share(deep) == 0.5


def test_values_are_counted_for_every_dtype() -> None:
    for dtype in (np.uint8, np.uint16, np.int32):
        assert count_values([np.array([[0, 7, 7], [255, 0, 0]], dtype)]) == ({0: 3, 7: 2, 255: 1}, 3, dtype.__name__)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_what_goes_block_by_block_equals_numpy(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = random_image(dtype, 2)
    monkeypatch.setattr(blocks, "BLOCK", 7)
    if dtype == "float32":
        image[0, 0, 1] = np.nan
        measured = measure_intensities(image)
        for index in range(2):
            finite = image[..., index][np.isfinite(image[..., index])].astype(np.float64)
            assert measured.mean[index] == pytest.approx(finite.mean(), rel=1e-12)
            assert measured.std[index] == pytest.approx(finite.std(), rel=1e-9)
        assert (measured.minimum, measured.maximum) == (np.nanmin(image), np.nanmax(image))
        assert measured.not_finite == pytest.approx(1 / image.size)
    else:
        values, counts = np.unique(image[..., 0], return_counts=True)
        found, distinct, _ = count_values(blocks.blocks(image[..., 0]))
        assert distinct == len(values)
        if distinct <= LISTED_VALUES:
            assert found == dict(zip(values.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_statistics_take_little_memory_besides_the_values(dtype: str) -> None:
    """All values as 8 bytes each, as one count of all has them, would be 256 MB here."""
    image = np.zeros((4096, 8192, 1), dtype)
    tracemalloc.start()
    if dtype != "int32":
        measure_intensities(image)
    if dtype != "float32":
        count_values(blocks.blocks(image[..., 0]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6 + image.nbytes * (dtype == "float32")  # of these one copy, for the percentiles


def test_only_the_commonest_of_many_values_are_listed() -> None:
    mask = np.concatenate([np.arange(3000), np.repeat(2999, 5)]).astype(np.int32)[None]
    values, distinct, _ = count_values([mask])
    assert distinct == 3000
    assert len(values) == LISTED_VALUES
    assert values[2999] == 6
    assert list(values) == sorted(values)


def test_hash_is_of_pixels_shape_and_dtype() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert pixel_hash(image) == pixel_hash(np.asfortranarray(image))
    others = (image.reshape(4, 2, 3), image.astype(np.uint16), np.where(image == 23, np.uint8(0), image))
    assert len({pixel_hash(image), *(pixel_hash(other) for other in others)}) == 4


def test_class_pixels_leave_out_ignored_and_unknown_values() -> None:
    classes = ClassMap(("a", "b"), values={0: 0, 128: 1, 129: 1, 255: IGNORE_INDEX})
    mask = MaskFacts(size=(4, 5), values={0: 10, 128: 3, 129: 2, 255: 4, 77: 1})
    assert class_pixels(mask, classes) == {0: 10, 1: 5}


def test_class_pixels_of_one_file_per_class() -> None:
    # 20 pixels; cell and nucleus overlap in 2 of them, so 20 - (6 + 3 - 2) = 13 belong to no class.
    classes = ClassMap(("background", "cell", "nucleus"))
    mask = MaskFacts(size=(4, 5), kind="per-class", classes={"cell": 6, "nucleus": 3}, overlap=2)
    assert class_pixels(mask, classes) == {0: 13, 1: 6, 2: 3}
