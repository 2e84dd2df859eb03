"""Augmentation: right on any range and number of channels, equal by seed alone, image and mask alike."""

from __future__ import annotations

import pickle
import warnings
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data.augment import Augmenter, PresetName
from segkit.data.intensity import Intensity, bend, blur, change_intensity, recolor, stretch
from segkit.errors import UsageError
from segkit.structures import IGNORE_INDEX

CHANGING: tuple[PresetName, ...] = ("light", "standard", "strong")


def crop_and_mask(channels: int, size: tuple[int, int] = (48, 48)) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Values from -0.3 to 1.4 and classes -1 to 4."""
    generator = np.random.default_rng(channels)
    unit = generator.uniform(-0.3, 1.4, (*size, channels)).astype(np.float32)
    return unit, generator.integers(-1, 5, size).astype(np.int16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 16])
@pytest.mark.parametrize("preset", CHANGING)
def test_every_channel_count_keeps_shape_type_and_classes(preset: PresetName, channels: int) -> None:
    unit, mask = crop_and_mask(channels)
    augment = Augmenter(preset, channels, orientation_free=True)
    for seed in range(40):
        changed, classes = augment(unit, mask, seed)
        assert classes is not None
        assert (changed.shape, changed.dtype) == (unit.shape, unit.dtype)
        assert (classes.shape, classes.dtype) == (mask.shape, mask.dtype)
        assert np.isfinite(changed).all()
        assert set(np.unique(classes)) <= set(np.unique(mask))


def test_none_is_the_identity() -> None:
    unit, mask = crop_and_mask(3)
    same, classes = Augmenter("none", 3, orientation_free=True)(unit, mask, 5)
    assert same is unit
    assert classes is mask


@pytest.mark.parametrize("preset", CHANGING)
def test_draws_depend_on_the_seed_alone(preset: PresetName) -> None:
    unit, mask = crop_and_mask(3)
    augment = Augmenter(preset, 3, orientation_free=True)
    first = [augment(unit, mask, seed) for seed in range(6)]
    np.random.seed(99)  # the global state must not matter
    copy = pickle.loads(pickle.dumps(augment))
    for seed in (4, 1, 5, 0, 3, 2):
        again, classes = copy(unit, mask, seed)
        np.testing.assert_array_equal(again, first[seed][0])
        np.testing.assert_array_equal(classes, first[seed][1])
    assert len({changed.tobytes() for changed, _ in first}) > 3


def test_the_image_changes_alike_with_and_without_mask() -> None:
    unit, mask = crop_and_mask(1)
    augment = Augmenter("strong", 1, orientation_free=True)
    for seed in range(20):
        with_mask, _ = augment(unit, mask, seed)
        without, none = augment(unit, None, seed)
        np.testing.assert_array_equal(with_mask, without)
        assert none is None


@pytest.mark.parametrize(("orientation_free", "poses"), [(False, 2), (True, 8)])
def test_poses_are_independent_and_equally_likely(orientation_free: bool, poses: int) -> None:
    """With albumentations' own set_random_seed every flip has the same draw, and only some of the poses ever occur."""
    mask = np.arange(4, dtype=np.int16).reshape(2, 2)
    augment = Augmenter("light", 1, orientation_free)
    counts = Counter(augment(np.zeros((2, 2, 1), np.float32), mask, seed)[1].tobytes() for seed in range(800))  # type: ignore[union-attr]
    assert len(counts) == poses
    assert min(counts.values()) > 0.7 * 800 / poses


def test_streets_are_never_upside_down() -> None:
    sky = np.zeros((40, 60), np.int16)
    sky[20:] = 1
    augment = Augmenter("strong", 3)
    unit = np.zeros((40, 60, 3), np.float32)
    for seed in range(60):
        _, mask = augment(unit, sky, seed)
        assert mask is not None
        assert mask[:10].mean() < mask[-10:].mean()


def test_crops_that_are_not_square_keep_their_shape() -> None:
    unit, mask = crop_and_mask(3, (32, 48))
    augment = Augmenter("standard", 3, orientation_free=True)
    assert {augment(unit, mask, seed)[0].shape for seed in range(20)} == {(32, 48, 3)}


@pytest.mark.parametrize("preset", CHANGING)
def test_image_and_mask_move_together(preset: PresetName) -> None:
    """The mask, drawn into the image, still lies on its picture after the change."""
    mask = np.zeros((96, 96), np.int16)
    mask[20:60, 30:50] = 1
    augment = Augmenter(preset, 1, orientation_free=True)
    for seed in range(30):
        picture, moved = augment(mask[..., None].astype(np.float32), mask, seed)
        assert moved is not None
        assert np.corrcoef(picture.ravel(), moved.ravel())[0, 1] > 0.9


def test_ignored_pixels_stay_ignored() -> None:
    mask = np.full((32, 32), IGNORE_INDEX, np.int16)
    _, changed = Augmenter("strong", 1)(np.zeros((32, 32, 1), np.float32), mask, 3)
    assert changed is not None
    assert (changed == IGNORE_INDEX).all()


def test_values_outside_the_unit_range_are_not_clipped() -> None:
    """A linear change keeps differences; the libraries' own clips everything above 1 to one value."""
    unit = np.linspace(-0.5, 2.5, 64, dtype=np.float32).reshape(8, 8, 1)
    stretched = stretch(unit, 0.5, 0.1)
    np.testing.assert_allclose(np.diff(stretched.ravel()), 0.5 * np.diff(unit.ravel()), atol=1e-6)
    assert stretched.mean() == pytest.approx(unit.mean() + 0.1, abs=1e-6)
    bent = bend(unit, 2.0)
    assert (bent.min(), bent.max()) == pytest.approx((-0.5, 2.5), abs=1e-6)
    assert bent.ravel()[32] == pytest.approx(-0.5 + 3 * (32 / 63) ** 2, abs=1e-5)


def test_colours_by_hand() -> None:
    pixel = np.array([[[0.3, 0.6, 1.5]]], np.float32)  # gray is 0.8
    np.testing.assert_allclose(recolor(pixel, 0.0, [1, 1, 1]), [[[0.8, 0.8, 0.8]]], atol=1e-6)
    np.testing.assert_allclose(recolor(pixel, 2.0, [1, 0.5, 2]), [[[-0.2, 0.2, 4.4]]], atol=1e-6)


def test_a_constant_image_stays_finite() -> None:
    flat = np.full((8, 8, 1), 0.7, np.float32)
    np.testing.assert_array_equal(bend(flat, 1.5), flat)
    np.testing.assert_allclose(blur(flat, 1.5), flat, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3, 16])
def test_blur_is_scipys_gaussian(channels: int) -> None:
    from scipy.ndimage import gaussian_filter

    unit, _ = crop_and_mask(channels)
    expected = gaussian_filter(unit, (1.2, 1.2, 0), mode="mirror", truncate=4)
    np.testing.assert_allclose(blur(unit, 1.2), expected, atol=2e-3)


def test_noise_has_the_deviation_asked_for() -> None:
    amount = Intensity(noise_share=1.0, noise=0.1)
    flat = np.zeros((64, 64, 1), np.float32)
    drawn = [change_intensity(flat, amount, np.random.default_rng(seed)).std() for seed in range(300)]
    assert np.mean(drawn) == pytest.approx(0.05, abs=0.005)
    assert max(drawn) < 0.105


def test_only_three_channels_are_recolored() -> None:
    assert Augmenter("strong", 3)._amount.intensity.color_share > 0
    assert Augmenter("strong", 4)._amount.intensity.color_share == 0


def test_a_misspelt_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown augmentation 'standart'\. Did you mean 'standard'\?"):
        Augmenter("standart", 3)  # type: ignore[arg-type]


def test_arguments_albumentations_does_not_know_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    import albumentations

    monkeypatch.setattr("segkit.data.augment._geometry", lambda *_: [albumentations.HorizontalFlip(chance=0.5)])
    with warnings.catch_warnings(), pytest.raises(UserWarning, match="chance"):
        Augmenter("light", 1)
