"""One mask file per object: the files of an image are its objects, and together its foreground."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.drawing import draw_region
from segkit.data.formats._base import list_records
from segkit.data.formats.object_files import ObjectFiles
from segkit.data.image_io import read_mask
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    ObjectFiles().example(tmp_path / "stage1")
    return tmp_path / "stage1"


def test_the_union_of_the_object_files_is_the_numbered_mask(datasets: Callable[[str], Path]) -> None:
    folder = datasets("nuclei_dsb2018")
    dataset = open_dataset(folder / "original_layout", DataConfig(channels="rgb"))
    dataset.require_usable()
    assert dataset.classes.names == ("background", "object")
    assert len(dataset.records) == 5
    for record in dataset.records:
        numbers = read_mask(folder / "labels" / f"{record.id}.png")
        mask = load_sample(record, dataset.classes).mask
        np.testing.assert_array_equal(mask == 1, numbers > 0)
        assert record.annotation is not None
        assert len(record.annotation.objects) == numbers.max()
        sizes = [int(draw_region(one.region, numbers.shape).sum()) for one in record.annotation.objects if one.region]
        assert sorted(sizes) == sorted(np.bincount(numbers.ravel())[1:].tolist())


def test_folders_in_masks_are_classes(root: Path) -> None:
    for image in root.iterdir():
        for number, name in ((1, "cell"), (2, "debris")):
            (image / "masks" / name).mkdir()
            (image / "masks" / f"{image.name}_{number}.png").rename(image / "masks" / name / "1.png")
    dataset = open_dataset(root)
    dataset.require_usable()
    assert dataset.classes.names == ("background", "cell", "debris")
    assert "each mask file is one object, all of it that is not 0: cell, debris" in dataset.notes
    mask = load_sample(dataset.records[0], dataset.classes).mask
    assert mask is not None
    debris = Image.open(root / dataset.records[0].id / "masks/debris/1.png")
    np.testing.assert_array_equal(mask == 2, np.asarray(debris) > 0)


def test_an_image_without_objects_is_background_and_one_without_a_folder_is_named(root: Path) -> None:
    shutil.rmtree(root / "nuclei_001/masks")
    shutil.rmtree(root / "nuclei_002/masks")
    (root / "nuclei_002/masks").mkdir()
    shutil.copy(root / "nuclei_003/images/nuclei_003.png", root / "nuclei_003/images/other.png")
    listing = list_records(root)
    assert [record.id for record in listing.records] == ["nuclei_000", "nuclei_002"]
    assert listing.records[1].annotation is not None
    assert listing.records[1].annotation.objects == ()
    assert {finding.code: finding.files for finding in listing.findings} == {
        "missing-mask": ("nuclei_001/images",),
        "unreadable-image": ("nuclei_003/images",),
    }


def test_folders_of_splits(root: Path, tmp_path: Path) -> None:
    for split, name in (
        ("train", "nuclei_000"),
        ("train", "nuclei_001"),
        ("val", "nuclei_002"),
        ("test", "nuclei_003"),
    ):
        (tmp_path / "set" / split).mkdir(parents=True, exist_ok=True)
        (root / name).rename(tmp_path / "set" / split / name)
    listing = list_records(tmp_path / "set")
    assert listing.layout == "one mask file per object"
    assert [record.split for record in listing.records] == ["train", "train", "val", "test"]


def test_to_detect_the_files_are_the_objects(root: Path) -> None:
    listing = list_records(root, task="detect")
    assert listing.task == "detect"
    assert all(record.annotation and record.annotation.labels == ("object",) for record in listing.records)


def test_one_mask_per_image_may_name_classes_and_is_not_taken_for_objects(root: Path) -> None:
    for image in root.iterdir():
        (image / "masks" / f"{image.name}_2.png").unlink()
    assert not ObjectFiles().recognises(root)
    with pytest.raises(DataError, match=r"nothing has no folder with one image and its masks; expected NAME/images"):
        list_records(_empty(root.parent / "nothing"), "object-files")


def test_a_mask_file_that_cannot_be_read_names_itself(root: Path) -> None:
    (root / "nuclei_001/masks/nuclei_001_2.png").write_bytes(b"no picture")
    (found,) = [found for found in open_dataset(root).errors if found.code == "unreadable-mask"]
    assert "nuclei_001/masks" in found.message
    assert "nuclei_001_2.png" in found.message
    assert found.records == ("nuclei_001",)


def _empty(folder: Path) -> Path:
    folder.mkdir()
    return folder
