"""Layouts that say that their masks number objects: Cellpose's suffixes and folders called instances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.formats._base import list_records
from segkit.data.formats.cellpose import Cellpose
from segkit.data.formats.instance_folder import InstanceFolder
from segkit.data.image_io import read_mask
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.samples import load_sample
from segkit.data.synthetic import write_sample
from segkit.errors import DataError

SAID = "masks number objects, as the layout says: each is of the class "


def write(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def cells(highest: int) -> np.ndarray:
    """A 16-bit mask of cells 1 to `highest`, and background."""
    return np.arange(20 * 20, dtype=np.uint16).reshape(20, 20) % np.uint16(highest + 1)


def require_foreground(dataset: OpenDataset) -> None:
    """Every object is one class: what is not 0 in the file."""
    dataset.require_usable()
    for record in dataset.records:
        assert isinstance(record.mask, Path)
        mask = load_sample(record, dataset.classes).mask
        np.testing.assert_array_equal(mask == 1, read_mask(record.mask) > 0)


def test_nuclei_are_learnt_without_a_flag_where_the_format_is_named(datasets: Callable[[str], Path]) -> None:
    dataset = open_dataset(datasets("nuclei_dsb2018"), DataConfig(format="instance-folder", channels="rgb"))
    require_foreground(dataset)
    assert dataset.classes.names == ("background", "foreground")
    assert f"{SAID}foreground" in dataset.notes
    assert len(dataset.records) == 65


@pytest.mark.parametrize("image", ["{}.tif", "{}_img.png"])
@pytest.mark.parametrize("mask", ["{}_masks.png", "{}_masks.tif", "{}_cp_masks.png"])
def test_cellpose_suffixes(tmp_path: Path, image: str, mask: str) -> None:
    for number in range(4):
        write(tmp_path / image.format(number), cells(3 + number).astype(np.uint8))
        write(tmp_path / mask.format(number), cells(250 + number))  # 255 is an object as any other
    dataset = open_dataset(tmp_path)
    assert dataset.listing.layout == "Cellpose"
    assert [record.id for record in dataset.records] == ["0", "1", "2", "3"]
    assert f"{SAID}foreground" in dataset.notes
    require_foreground(dataset)


def test_cellpose_train_and_test_folders(tmp_path: Path) -> None:
    Cellpose().example(tmp_path)
    listing = list_records(tmp_path)
    assert [record.split for record in listing.records] == ["train"] * 4 + ["test"] * 2
    assert listing.findings == ()


def test_what_finds_no_partner_is_named_and_flows_are_left_out(tmp_path: Path) -> None:
    for name in ("a", "a_masks", "b", "c_masks", "a_flows"):
        write(tmp_path / f"{name}.tif", cells(3))
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == ["a"]
    assert listing.notes == ("left out: 1 file of flows and outlines",)
    assert {finding.code: finding.files for finding in listing.findings} == {
        "missing-mask": ("b.tif",),
        "orphan-mask": ("c_masks.tif",),
    }


def test_the_only_declared_class_is_that_of_the_objects(tmp_path: Path) -> None:
    InstanceFolder().example(tmp_path)
    (tmp_path / "classes.txt").write_text("background\nnucleus\n")
    dataset = open_dataset(tmp_path)
    require_foreground(dataset)
    assert dataset.classes.names == ("background", "nucleus")
    assert f"{SAID}nucleus" in dataset.notes


def test_options_come_before_what_the_layout_says(tmp_path: Path) -> None:
    InstanceFolder().example(tmp_path)
    assert open_dataset(tmp_path, DataConfig(map={1: 1, 2: 2})).classes.num_classes == 3


def test_masks_come_before_instances_beside_them(tmp_path: Path) -> None:
    write_sample(tmp_path, count=3, size=64)
    assert list_records(tmp_path).layout == "mask folder, flat"
    (tmp_path / "masks").rename(tmp_path / "semantic")
    (tmp_path / "boxes.csv").unlink()
    (tmp_path / "labels.csv").unlink()
    listing = list_records(tmp_path)
    assert (listing.layout, listing.numbered, len(listing.records)) == ("instance folder", True, 3)


def test_instances_inside_splits(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        for name in split:
            write(tmp_path / split / "images" / f"{split}_{name}.png", cells(4))
            write(tmp_path / split / "instances" / f"{split}_{name}.png", cells(7))
    listing = list_records(tmp_path)
    assert listing.layout == "instance folder"
    assert {record.split for record in listing.records if record.id.startswith("val")} == {"val"}


def test_nothing_of_the_kind_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no image with a mask beside it; expected NAME\.tif and NAME_masks\.tif"):
        list_records(tmp_path, "cellpose")
    with pytest.raises(DataError, match=r"no folder of numbered objects beside images; expected images/ \+ instances/"):
        list_records(tmp_path, "instance-folder")
