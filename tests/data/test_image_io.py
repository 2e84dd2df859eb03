"""Reading names what is wrong, writing keeps ids and leaves nothing half-written."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from segkit.data.image_io import IMAGE_SUFFIXES, read_image, read_mask, read_raster, write_image, write_mask
from segkit.errors import OutputError, UnreadableFileError
from segkit.structures import ClassMap
from tests.full_disk import full_disk


def test_suffixes_are_those_of_the_readers() -> None:
    assert {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"} <= IMAGE_SUFFIXES


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("these are no pixels")
    (tmp_path / "text.tif").write_text("these are no pixels")
    (tmp_path / "folder.png").mkdir()
    reasons = {
        "missing.png": "no such file",
        "empty.png": r"the file is empty \(0 bytes\)",
        "text.png": "its name ends in .png, but it is no image",
        "text.tif": "not a TIFF file",
        "folder.png": "it is a folder",
        "notes.docx": r"suffix '\.docx' is not one of \.bmp, ",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnreadableFileError, match=rf"cannot read .*{name}: .*{reason}") as caught:
            read_image(tmp_path / name)
        assert caught.value.path == tmp_path / name
        assert "\n" not in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_color_masks_are_packed(tmp_path: Path) -> None:
    colors = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [7, 7, 7]]], np.uint8)
    write_image(tmp_path / "mask.png", colors)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), [[0xFF0000, 0x00FF00], [0x0000FF, 0x070707]])
    assert read_raster(tmp_path / "mask.png").kind == "rgb"


def test_masks_need_one_whole_number_per_pixel(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "whole.tif", np.array([[0.0, 3.0]], np.float32))
    np.testing.assert_array_equal(read_mask(tmp_path / "whole.tif"), [[0, 3]])
    refused: dict[str, NDArray[Any]] = {
        "no whole numbers": np.array([[0.0, 0.5]], np.float32),
        "negative mask value -1": np.array([[0, -1]], np.int16),
        "this file has 5": np.zeros((30, 40, 5), np.uint8),
        "16-bit colours": np.full((4, 4, 3), [1, 2, 300], np.uint16),
    }
    for reason, pixels in refused.items():
        tifffile.imwrite(tmp_path / "mask.tif", pixels, photometric="rgb" if pixels.shape[-1] == 3 else None)
        with pytest.raises(UnreadableFileError, match=reason):
            read_mask(tmp_path / "mask.tif")


def test_written_mask_has_exact_ids_and_class_colors(tmp_path: Path) -> None:
    classes = ClassMap(("a", "b", "c"), colors=((0, 0, 0), (250, 10, 20), (30, 40, 50)), ids=(0, 7, 255))
    ids = np.array([[0, 7], [255, 7]], np.uint8)
    write_mask(tmp_path / "mask.png", ids, classes)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), ids)
    np.testing.assert_array_equal(read_image(tmp_path / "mask.png")[0], [[0, 0, 0], [250, 10, 20]])
    with Image.open(tmp_path / "mask.png") as image:
        assert image.mode == "P"


def test_ids_above_255_are_16_bit(tmp_path: Path) -> None:
    classes = ClassMap(("a", "b"), ids=(0, 1000))
    ids = np.array([[0, 1000]], np.uint16)
    write_mask(tmp_path / "mask.png", ids, classes)
    read = read_mask(tmp_path / "mask.png")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, ids)


def test_all_256_ids_survive(tmp_path: Path) -> None:
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_mask(tmp_path / "mask.png", ids, ClassMap(tuple(map(str, range(256)))))
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), ids)


def test_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    old = np.zeros((64, 64), np.uint8)
    new = np.random.default_rng(0).integers(0, 2, (64, 64), dtype=np.uint8)
    classes = ClassMap(("a", "b"))
    write_mask(tmp_path / "mask.png", old, classes)
    with (
        full_disk(100),
        pytest.raises(OutputError, match=r"cannot write .*mask\.png: File too large; free space or name"),
    ):
        write_mask(tmp_path / "mask.png", new, classes)
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png"), old)
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]


def test_missing_output_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*nowhere/mask\.png: No such file or directory"):
        write_image(tmp_path / "nowhere" / "mask.png", np.zeros((2, 2, 3), np.uint8))
