"""Samples from disk: true pixels, right classes, refusals that name the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from segkit.data.samples import load_sample
from segkit.errors import DataError, UnreadableFileError
from segkit.structures import IGNORE_INDEX, ClassMap, Record

CLASSES = ClassMap(("ground", "cell", "vessel"), values={0: 0, 10: 1, 20: 2, 255: IGNORE_INDEX})


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A 16-bit ramp of 40 x 60 pixels with a mask that has every stored value."""
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 5:15], mask[20:30, 30:50], mask[:, 58:] = 10, 20, 255
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(40 * 60, dtype=np.uint16).reshape(40, 60))
    cv2.imwrite(str(tmp_path / "a_mask.png"), mask)
    return Record("a", tmp_path / "a.png", tmp_path / "a_mask.png")


def test_a_sample_has_true_values_and_class_indices(record: Record) -> None:
    sample = load_sample(record, CLASSES)
    assert sample.image.dtype == np.uint16
    np.testing.assert_array_equal(sample.image[..., 0], np.arange(2400).reshape(40, 60))
    assert sample.mask is not None
    assert sample.mask.dtype == np.int16
    assert sample.mask[10, 10] == 1
    assert sample.mask[25, 40] == 2
    assert sample.mask[0, 59] == IGNORE_INDEX
    assert sample.label is None


def test_one_file_per_class(tmp_path: Path, record: Record) -> None:
    cell, vessel = np.zeros((2, 40, 60), np.uint8)
    cell[:10], vessel[5:12] = 255, 1
    cv2.imwrite(str(tmp_path / "cell.png"), cell)
    cv2.imwrite(str(tmp_path / "vessel.png"), vessel)
    files = Record("a", record.image, {"vessel": tmp_path / "vessel.png", "cell": tmp_path / "cell.png"})
    mask = load_sample(files, CLASSES).mask
    assert mask is not None
    assert mask[:, 0].tolist() == [1] * 5 + [2] * 7 + [0] * 28
    no_background = ClassMap(("cell", "vessel"), background=None)
    mask = load_sample(files, no_background).mask
    assert mask is not None
    assert mask[:, 0].tolist() == [0] * 5 + [1] * 7 + [IGNORE_INDEX] * 28


def test_a_mask_of_another_size_is_refused_by_name(tmp_path: Path, record: Record) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((30, 60), np.uint8))
    with pytest.raises(DataError, match=r"a: the image is 60 x 40 pixels and its mask 60 x 30.*segkit check"):
        load_sample(Record("a", record.image, tmp_path / "small.png"), CLASSES)


def test_an_unknown_mask_value_is_refused(tmp_path: Path, record: Record) -> None:
    cv2.imwrite(str(tmp_path / "odd.png"), np.full((40, 60), 77, np.uint8))
    message = r"odd\.png: mask value 77 is no class; known values: 0, 10, 20, 255; 'segkit check' lists all such masks$"
    with pytest.raises(DataError, match=message):
        load_sample(Record("a", record.image, tmp_path / "odd.png"), CLASSES)


def test_a_mask_file_of_an_unknown_class_is_refused(tmp_path: Path, record: Record) -> None:
    files = Record("a", record.image, {"cell": tmp_path / "a_mask.png", "wall": tmp_path / "wall.png"})
    with pytest.raises(DataError, match=r"wall\.png: 'wall' is no class; classes: ground, cell, vessel"):
        load_sample(files, CLASSES)


def test_an_unknown_label_is_refused(record: Record) -> None:
    with pytest.raises(DataError, match=r"a: label 'dog' is no class; classes: ground, cell, vessel"):
        load_sample(Record("a", record.image, label="dog"), CLASSES, "classify")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"gone\.png"):
        load_sample(Record("gone", tmp_path / "gone.png"), CLASSES)


def test_loading_needs_neither_torch_nor_albumentations() -> None:
    code = "import sys; import segkit.data.samples; assert not {'torch', 'albumentations'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
