"""AlexNet's augmentation: its crops, flips and colours, and the middle crop that validation and prediction see."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.data import color
from segkit.data.augment import Augmenter
from segkit.data.color import color_axes
from segkit.data.dataset import TrainingSet
from segkit.data.image_io import read_image
from segkit.data.loader import Draw
from segkit.data.samples import load_sample
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap, Record

CLASSES = ClassMap(("cat", "dog"), background=None)
PLAIN = Augmenter("none", 3)


def pipeline(**settings: object) -> Pipeline:
    return Pipeline.parse({"channels": 3, "mean": (0.5,) * 3, "std": (0.25,) * 3, **settings}, "pipeline")


def write(folder: Path, images: list[NDArray[np.uint8]]) -> list[Record]:
    records = []
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image[..., ::-1])
        records.append(Record(str(number), folder / f"{number}.png", label="dog"))
    return records


def test_axes_are_eigenvectors_of_the_covariance_of_all_pixels(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    mixing = np.array([[40, 0, 0], [30, 10, 0], [20, 5, 3]])
    images = [(128 + generator.normal(0, 1, (30, 20, 3)) @ mixing.T).clip(0, 255).astype(np.uint8) for _ in range(4)]
    axes = color_axes(write(tmp_path, images), pipeline())
    covariance = np.cov(np.concatenate([image.reshape(-1, 3) for image in images]).T / 255, bias=True)
    lengths = np.linalg.norm(axes, axis=0)
    np.testing.assert_allclose(lengths, np.sort(np.linalg.eigvalsh(covariance))[::-1], rtol=1e-4)
    np.testing.assert_allclose(covariance @ axes, axes * lengths, atol=1e-6)


def test_no_more_images_are_measured_than_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [np.full((4, 4, 3), value, np.uint8) for value in range(0, 70, 10)]
    read: list[str] = []

    def count(path: Path) -> NDArray[np.uint8]:
        read.append(path.stem)
        return read_image(path)

    monkeypatch.setattr(color, "read_image", count)
    monkeypatch.setattr(color, "MEASURED_IMAGES", 4)
    color_axes(write(tmp_path, images), pipeline())
    assert read == ["0", "2", "4", "6"]


def test_the_shift_is_the_sum_of_the_axes_in_shares_from_a_normal_distribution() -> None:
    """One shift for the whole image; its deviation along an axis is a tenth of the eigenvalue (section 4.1)."""
    axes = np.diag([0.3, 0.02, 0.005]).astype(np.float32)
    augment = Augmenter("alexnet", 3, color_axes=axes)
    flat = np.full((4, 4, 3), 0.5, np.float32)
    shifts = []
    for seed in range(600):
        changed, _ = augment(flat, None, seed)
        assert np.ptp(changed.reshape(-1, 3), axis=0).max() < 1e-6
        assert changed.dtype == np.float32
        shifts.append(changed[0, 0] - 0.5)
    np.testing.assert_allclose(np.std(shifts, axis=0), [0.03, 0.002, 0.0005], rtol=0.1)


def test_half_of_the_images_are_mirrored() -> None:
    ramp = np.linspace(0, 1, 8, dtype=np.float32)[None, :, None].repeat(4, axis=0).repeat(3, axis=2)
    augment = Augmenter("alexnet", 3, color_axes=np.zeros((3, 3), np.float32))
    mirrored = [augment(ramp, None, seed)[0][0, 0, 0] > 0.5 for seed in range(400)]
    assert np.mean(mirrored) == pytest.approx(0.5, abs=0.08)


def test_colours_need_their_axes_and_three_channels() -> None:
    with pytest.raises(ValueError, match="alexnet shifts colours along the principal axes"):
        Augmenter("alexnet", 3)
    gray = np.full((4, 4, 1), 0.5, np.float32)
    np.testing.assert_array_equal(Augmenter("alexnet", 1)(gray, None, 3)[0], gray)


def test_training_sees_every_window_of_the_resized_image_and_prediction_the_middle_one(tmp_path: Path) -> None:
    """The ramps tell where each crop was taken: 12 of 16 rows and columns start at 0 to 4, the middle at 2."""
    rows, columns = np.mgrid[:16, :16].astype(np.uint8)
    (record,) = write(tmp_path, [np.stack([rows, columns, rows], axis=2) * 10])
    steps = pipeline(size=(16, 16), center_crop=(12, 12))
    dataset = TrainingSet([record], {"classify": CLASSES}, steps, PLAIN, (12, 12))

    def start(planes: NDArray[np.float32]) -> tuple[int, int]:
        assert planes.shape == (3, 12, 12)
        top, left = np.rint((planes[:2, 0, 0] * 0.25 + 0.5) * 25.5).astype(int)
        return int(top), int(left)

    starts = {start(dataset[Draw(0, position, 0)]["image"].numpy()) for position in range(300)}
    assert starts == {(top, left) for top in range(5) for left in range(5)}
    assert start(steps.prepare(load_sample(record, CLASSES).image)) == (2, 2)
