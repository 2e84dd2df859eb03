"""The pipeline computes what is written on paper, and refuses what it cannot use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segkit.errors import ConfigError, UsageError
from segkit.pipeline import Pipeline


def pipeline(channels: int = 3, **settings: Any) -> Pipeline:
    return Pipeline(channels=channels, mean=(0.5, 0.25, 0.0)[:channels], std=(0.5, 0.25, 1.0)[:channels], **settings)


def test_prepare_by_hand() -> None:
    image = np.array([[[0, 255, 51], [255, 0, 102]]], np.uint8)
    expected = [[[-1.0, 1.0]], [[3.0, -1.0]], [[0.2, 0.4]]]
    prepared = pipeline().prepare(image)
    assert prepared.dtype == np.float32
    assert prepared.flags.c_contiguous
    np.testing.assert_allclose(prepared, expected, atol=1e-6)


def test_prepare_is_what_training_does_bit_for_bit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    steps = pipeline()
    assert np.array_equal(steps.prepare(image), steps.normalize(steps.to_unit(image)))


def test_prepare_equals_torchvision_style_arithmetic() -> None:
    image = np.random.default_rng(1).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1) / 255
    mean, std = torch.tensor([0.5, 0.25, 0.0]), torch.tensor([0.5, 0.25, 1.0])
    expected = (tensor - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(pipeline().prepare(image), expected.numpy(), atol=1e-6)


def test_16_bit_ramp_keeps_its_levels() -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    unit = pipeline(1, high=65535.0).to_unit(ramp)
    assert unit.shape == (256, 256, 1)
    assert np.unique(unit).size == 65536
    assert (unit.min(), unit.max()) == (0.0, 1.0)


def test_values_beyond_the_range_are_not_clipped() -> None:
    assert pipeline(1, low=10.0, high=20.0).to_unit(np.array([[0.0, 30.0]], np.float32)).ravel().tolist() == [-1.0, 2.0]


def test_read_only_image_is_left_alone() -> None:
    image = np.full((4, 4), 7.0, np.float32)
    image.flags.writeable = False
    pipeline(1).prepare(image)
    assert (image == 7).all()


def test_proportions_are_kept_by_cutting_out_the_middle() -> None:
    """Of 4 x 8 pixels a square is the middle four columns; of 8 x 4 for 2 x 4 the middle two rows."""
    wide = np.arange(32, dtype=np.float32).reshape(4, 8, 1)
    steps = pipeline(1, high=1.0, size=(4, 4), keep_proportions=True)
    assert np.array_equal(steps.to_unit(wide), wide[:, 2:6])
    flat = pipeline(1, high=1.0, size=(2, 4), keep_proportions=True)
    assert np.array_equal(flat.to_unit(wide.reshape(8, 4, 1)), wide.reshape(8, 4, 1)[3:5])
    assert pipeline(1, size=(256, 256), keep_proportions=True).to_unit(wide[:1, :3]).shape == (256, 256, 1)


def test_the_network_sees_the_middle_crop() -> None:
    image = np.arange(64, dtype=np.uint8).reshape(8, 8)
    steps = pipeline(1, size=(8, 8), center_crop=(4, 6))
    assert np.array_equal(steps.prepare(image), steps.normalize(steps.to_unit(image)[2:6, 1:7]))


def test_pipelines_saved_before_there_were_crops_still_load() -> None:
    saved = pipeline(3, size=(8, 12)).model_dump(mode="json")
    del saved["center_crop"], saved["keep_proportions"]
    image = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    loaded = Pipeline.parse(saved, source="pipeline")
    assert np.array_equal(loaded.prepare(image), pipeline(3, size=(8, 12)).prepare(image))


def zscore(channels: int = 1, **settings: Any) -> Pipeline:
    half, quarter = (0.5,) * channels, (0.25,) * channels
    return Pipeline(channels=channels, normalization="zscore", low=-2.0, high=2.0, mean=half, std=quarter, **settings)


def test_zscore_by_hand() -> None:
    """1, 3, 5, 7 have the mean 4 and the deviation sqrt(5); two deviations either way are unit values 0 and 1."""
    image = np.array([[1, 3], [5, 7]], np.uint16)
    deviation = np.sqrt(5)
    expected = (image.astype(float) - 4) / deviation
    np.testing.assert_allclose(zscore().prepare(image)[0], expected, rtol=1e-6)
    np.testing.assert_allclose(zscore().to_unit(image)[..., 0], expected / 4 + 0.5, rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1.7e6])
def test_zscore_is_that_of_nnunet_whatever_the_scale(scale: float) -> None:
    """`ZScoreNormalization.run` of nnU-Net's version 2: (image - mean) / max(std, 1e-8), per channel."""
    image = (np.random.default_rng(5).gamma(2, scale, (40, 31, 2)) * [1, 50]).astype(np.float32)
    expected = (image - image.mean(axis=(0, 1))) / np.maximum(image.std(axis=(0, 1)), 1e-8)
    np.testing.assert_allclose(zscore(2).prepare(image).transpose(1, 2, 0), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, 1.7e6])
def test_a_constant_image_stays_finite_and_becomes_nothing(value: float) -> None:
    prepared = zscore().prepare(np.full((33, 47), value, np.float32))
    np.testing.assert_allclose(prepared, 0, atol=1e-6)


def test_zscore_has_no_eye_for_gain_and_offset() -> None:
    image = np.random.default_rng(6).integers(0, 1000, (30, 20)).astype(np.float32)
    np.testing.assert_allclose(zscore().prepare(image * 64 + 512), zscore().prepare(image), atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "mean", "deviation"),
    [(np.float32, 1e6, 1), (np.float64, 1e6, 1), (np.int32, 1e7, 20), (np.uint32, 3e9, 5000), (np.float64, -1e9, 1000)],
)
@pytest.mark.parametrize("name", ["zscore", "percentile", "ct"])
def test_values_far_above_their_deviation_keep_it(name: str, dtype: Any, mean: float, deviation: float) -> None:
    """In float64 by hand: what float32 would lose of the values is subtracted before it can be lost."""
    generator = np.random.default_rng(9)
    image = generator.normal([mean, mean / 2], [deviation, 2 * deviation], (64, 50, 2)).astype(dtype)
    values = image.astype(np.float64)
    means, deviations = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
    low, high = means - 6 * deviations, means + 6 * deviations
    bounds: dict[str, Any] = {"low": tuple(low.tolist()), "high": tuple(high.tolist())}
    middle: dict[str, Any] = {"mean": (0.5,) * 2, "std": (1 / 12,) * 2}
    steps = zscore(2) if name == "zscore" else Pipeline(channels=2, normalization=name, **bounds, **middle)
    expected = ((values - means) / deviations).transpose(2, 0, 1)
    np.testing.assert_allclose(steps.prepare(image), expected, atol=2e-6)
    np.testing.assert_allclose(zscore().prepare(image[..., 0])[0], expected[0], atol=2e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("name", ["8bit", "percentile", "zscore", "ct"])
def test_a_crop_of_a_normalized_image_is_the_normalized_crop(name: str, dtype: Any) -> None:
    """Bit for bit, whatever the crop and the layout of the array, given the scale of the whole image."""
    generator = np.random.default_rng(7)
    image = generator.integers(0, 250, (57, 83, 3)).astype(dtype)
    settings: dict[str, Any] = {"normalization": name, "low": (0.0, 10.0, 20.0), "high": (255.0, 200.0, 90.0)}
    steps = pipeline(3, **(settings if name != "zscore" else {"normalization": name, "low": -2.0, "high": 2.0}))
    whole, scale = steps.prepare(image), steps.scale_of(image)
    assert steps.scale_of(np.asfortranarray(image)) == scale
    for _ in range(20):
        top, left = generator.integers(0, 50, 2)
        height, width = generator.integers(1, 40, 2)
        crop = image[top : top + height, left : left + width]
        assert np.array_equal(steps.prepare(crop, scale), whole[:, top : top + height, left : left + width])
        assert np.array_equal(steps.prepare(crop[::-1], scale)[:, ::-1], steps.prepare(crop.copy(), scale))


def test_a_large_image_is_summed_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(8).normal(3, 2, (61, 40)).astype(np.float32)
    monkeypatch.setattr("segkit.pipeline.STATISTICS_BLOCK", 1000)
    low, factor = zscore().scale_of(image)
    values = image.astype(np.float64)
    assert low[0] == pytest.approx(values.mean() - 2 * values.std(), rel=1e-12)
    assert factor[0] == pytest.approx(1 / (4 * values.std()), rel=1e-12)


def test_ct_clips_and_nothing_else_does() -> None:
    image = np.array([[-1000.0, 0.0, 50.0, 3000.0]], np.float32)
    steps = pipeline(1, normalization="ct", low=-100.0, high=100.0)
    np.testing.assert_allclose(steps.to_unit(image).ravel(), [0, 0.5, 0.75, 1])
    np.testing.assert_allclose(pipeline(1, low=-100.0, high=100.0).to_unit(image).ravel(), [-4.5, 0.5, 0.75, 15.5])


def test_channels_have_ranges_of_their_own() -> None:
    image = np.array([[[20.0, 0.5]]], np.float32)
    steps = pipeline(2, low=(10.0, 0.0), high=(30.0, 2.0), channel_names=("red", "height"))
    assert steps.to_unit(image).ravel().tolist() == [0.5, 0.25]
    assert Pipeline.parse(steps.model_dump(mode="json")) == steps


def test_pipelines_saved_before_normalization_had_a_name_still_load() -> None:
    for settings, name in (({}, "8bit"), ({"low": -3.5, "high": 4095.0}, "percentile")):
        saved = pipeline(3, **settings).model_dump(mode="json")  # type: ignore[arg-type]
        del saved["normalization"], saved["channel_names"]
        loaded = Pipeline.parse(saved, source="pipeline")
        assert loaded.normalization == name
        low, high = settings.get("low", 0.0), settings.get("high", 255.0)
        for dtype in (np.uint8, np.uint16):
            image = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (31, 17, 3), dtype=dtype)
            unit = (image.astype(np.float32) - np.float32(low)) * np.float32(1 / (high - low))
            assert np.array_equal(loaded.to_unit(image), unit), "the arithmetic of then, bit for bit"


def test_a_pipeline_says_what_it_does() -> None:
    assert zscore(2, channel_names=("red", "nir")).describe() == [
        "input: 2 channels (red, nir)",
        "normalization: zscore, each image by its own mean and deviation",
    ]
    assert "stored values 0 to 255 become 0 to 1" in pipeline(3).describe()[1]
    clipped = pipeline(2, normalization="ct", low=(-12.0, 0.0), high=240.0)
    assert "clipped to -12 to 240, 0 to 240" in clipped.describe()[1]
    warm = pipeline(3, temperatures={"segment": 1.25, "classify": 2.0})
    assert warm.describe()[2] == "probabilities: of logits divided by their temperature: segment 1.250, classify 2.000"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"center_crop": (4, 4)}, "keep_proportions and center_crop need a size"),
        ({"keep_proportions": True}, "keep_proportions and center_crop need a size"),
        ({"size": (8, 8), "center_crop": (4, 9)}, r"center_crop \(4, 9\) does not lie inside size \(8, 8\)"),
    ],
)
def test_crops_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pipeline.parse({"channels": 1, "mean": (0.5,), "std": (0.5,), **settings}, source="pipeline")


def test_size_is_applied_by_to_unit() -> None:
    assert pipeline(3, size=(8, 12)).prepare(np.zeros((50, 40, 3), np.uint8)).shape == (3, 8, 12)


def test_wrong_number_of_channels() -> None:
    with pytest.raises(UsageError, match="the image has 4 channels, the model takes 3; convert it, or train with"):
        pipeline().prepare(np.zeros((5, 5, 4), np.uint8))


@pytest.mark.parametrize("shape", [(5,), (2, 5, 5, 3), (0, 5, 3)])
def test_array_that_is_no_image(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"is no image; expected \(H, W\) or \(H, W, channels\)"):
        pipeline().prepare(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("name", ["8bit", "percentile", "zscore", "ct"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(value: float, name: Any) -> None:
    for dtype in (np.float16, np.float32, np.float64):
        with pytest.raises(UsageError, match="holds values that are no finite numbers"):
            pipeline(1, normalization=name).prepare(np.array([[1.0, value]], dtype))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channels": 2, "mean": (0.5,), "std": (0.5, 0.5)}, "mean and std need 2 values, one per channel"),
        ({"channels": 1, "mean": (0.5,), "std": (0.0,)}, "every std above 0"),
        ({"channels": 1, "mean": (0.5,), "std": (1.0,), "low": 5.0, "high": 5.0}, "high must be above low"),
        ({"channels": 1, "mean": (0.5,), "std": (1.0,), "tyle": 64}, "Did you mean 'tile'"),
        ({"channels": 2, "mean": (0.5,) * 2, "std": (1.0,) * 2, "low": (0.0,)}, "low and high need one value, or 2"),
        ({"channels": 2, "mean": (0.5,) * 2, "std": (1.0,) * 2, "channel_names": ("a", "a")}, "need 2 different names"),
        ({"channels": 1, "mean": (0.5,), "std": (1.0,), "normalization": "z"}, "normalization"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Pipeline.parse(settings)


def test_plain_values_read_back() -> None:
    steps = pipeline(3, convert="rgb", low=-3.5, size=(32, 32), precision="bf16")
    assert Pipeline.parse(steps.model_dump(mode="json")) == steps
