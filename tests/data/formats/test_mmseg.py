"""MMSegmentation's folders of images and annotations, one per split."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.data.formats._base import list_records
from segkit.data.formats.mmseg import MMSegmentation
from segkit.data.opening import open_dataset
from segkit.errors import DataError


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_splits_and_suffixes_of_cityscapes(tmp_path: Path) -> None:
    for split, cities in (("train", ("aachen", "bremen")), ("val", ("ulm",)), ("test", ("bonn",))):
        for city in cities:
            for number in (19, 20):
                name = f"{city}_0000{number}_000019"
                make(tmp_path, f"img_dir/{split}/{city}/{name}_leftImg8bit.png")
                make(tmp_path, f"ann_dir/{split}/{city}/{name}_gtFine_labelTrainIds.png")
    listing = list_records(tmp_path)
    assert listing.layout == "MMSegmentation"
    assert [record.split for record in listing.records] == ["train"] * 2 + ["test"] * 2 + ["train"] * 2 + ["val"] * 2
    assert listing.findings == ()
    for record in listing.records:
        assert isinstance(record.mask, Path)
        assert record.mask.name.startswith(record.image.name.removesuffix("leftImg8bit.png"))


def test_a_test_part_without_annotations_is_said(tmp_path: Path) -> None:
    make(tmp_path, "img_dir/train/a.jpg", "ann_dir/train/a.png", "img_dir/test/b.jpg")
    listing = list_records(tmp_path)
    assert [(record.id, record.split) for record in listing.records] == [("a", "train")]
    assert [(found.code, found.files) for found in listing.findings] == [("unlabelled-split", ("img_dir/test",))]


def test_folders_without_splits(tmp_path: Path) -> None:
    make(tmp_path, "img_dir/a.jpg", "img_dir/b.jpg", "ann_dir/a.png", "ann_dir/b.png")
    assert [(record.id, record.split) for record in list_records(tmp_path).records] == [("a", None), ("b", None)]


def test_the_example_has_the_classes_of_its_file(tmp_path: Path) -> None:
    MMSegmentation().example(tmp_path)
    dataset = open_dataset(tmp_path)
    dataset.require_usable()
    assert dataset.classes.names == ("background", "bright", "dark")


def test_another_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks img_dir/ or ann_dir/; expected img_dir/train and ann_dir/train"):
        list_records(tmp_path, "mmseg")
