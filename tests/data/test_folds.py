"""Folds of a data set: each image validates once, groups stay whole, classes and columns are shared out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.folds import cut_folds
from segkit.data.opening import open_dataset
from segkit.errors import UsageError

SITES = "ABB"


def write(folder: Path, count: int = 30, test: int = 0) -> Path:
    """A table of images of ten patients at two sites; every sixth image shows class 2; the last `test` are the test."""
    folder.mkdir()
    rows = ["image,mask,patient,site,split"]
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8)).astype(np.uint8)
        mask = np.zeros((8, 8), np.uint8)
        mask[2:5, 2:5] = 2 if number % 6 == 0 else 1
        Image.fromarray(pixels).save(folder / f"i{number}.png")
        Image.fromarray(mask).save(folder / f"m{number}.png")
        part = "" if not test else "test" if number >= count - test else "train"
        rows.append(f"i{number}.png,m{number}.png,p{number % 10},{SITES[number % 3]},{part}")
    (folder / "data.csv").write_text("\n".join(rows) + "\n")
    return folder / "data.csv"


def folds_of(table: Path, count: int, **settings: object) -> tuple[list[dict[str, list[str]]], str]:
    folds = cut_folds(open_dataset(table, DataConfig(**settings)), count)  # type: ignore[arg-type]
    return [dict(parts) for parts in folds.parts], folds.origin


def test_every_image_validates_once_and_trains_in_all_other_folds(tmp_path: Path) -> None:
    parts, origin = folds_of(write(tmp_path / "data"), 5)
    everything = sorted(f"i{number}" for number in range(30))
    assert sorted(id_ for fold in parts for id_ in fold["val"]) == everything
    for fold in parts:
        assert sorted(fold["train"] + fold["val"]) == everything
        assert fold["test"] == []
        assert sum(int(id_[1:]) % 6 == 0 for id_ in fold["val"]) == 1  # of the five images of the rare class
    assert origin == "5 folds of 6/6/6/6/6 images, cut by content (seed 0)"
    assert folds_of(tmp_path / "data" / "data.csv", 5)[0] == parts
    assert folds_of(tmp_path / "data" / "data.csv", 5, seed=1)[0] != parts


def test_groups_stay_whole(tmp_path: Path) -> None:
    parts, origin = folds_of(write(tmp_path / "data"), 5, group_by="patient")
    for fold in parts:
        assert len(fold["val"]) == 6
        assert not {int(id_[1:]) % 10 for id_ in fold["val"]} & {int(id_[1:]) % 10 for id_ in fold["train"]}
    assert "groups whole" in origin


def test_the_values_of_a_column_are_shared_out(tmp_path: Path) -> None:
    parts, origin = folds_of(write(tmp_path / "data"), 5, stratify="Site")
    for fold in parts:
        assert Counter(SITES[int(id_[1:]) % 3] for id_ in fold["val"]) == {"A": 2, "B": 4}
    assert origin.endswith("(seed 0, stratified by Site)")
    # The same holds for the parts of a single run.
    dataset = open_dataset(tmp_path / "data" / "data.csv", DataConfig(stratify="site", split=(0.6, 0.2, 0.2)))
    for part, expected in (("train", {"A": 6, "B": 12}), ("val", {"A": 2, "B": 4}), ("test", {"A": 2, "B": 4})):
        assert Counter(record.columns["site"] for record in dataset.split(part)) == expected


def test_the_own_test_part_is_kept_out(tmp_path: Path) -> None:
    parts, origin = folds_of(write(tmp_path / "data", test=6), 4)
    for fold in parts:
        assert sorted(fold["test"]) == [f"i{number}" for number in range(24, 30)]
        assert sorted(fold["train"] + fold["val"]) == sorted(f"i{number}" for number in range(24))
    assert "6 images of the data's own test part kept out" in origin


def test_a_split_file_names_the_test_images(tmp_path: Path) -> None:
    table = write(tmp_path / "data")
    listed = [f"i{number},{'test' if number < 5 else 'train' if number < 25 else 'val'}" for number in range(29)]
    (tmp_path / "split.csv").write_text("\n".join(["id,split", *listed]) + "\n")
    parts, _ = folds_of(table, 4, split=tmp_path / "split.csv")
    for fold in parts:
        assert sorted(fold["test"]) == [f"i{number}" for number in range(5)]
        assert sorted(fold["train"] + fold["val"]) == sorted(f"i{number}" for number in range(5, 29))  # not i29


def test_as_many_folds_as_units_and_no_more(tmp_path: Path) -> None:
    table = write(tmp_path / "data")
    assert [len(fold["val"]) for fold in folds_of(table, 10, group_by="patient")[0]] == [3] * 10
    with pytest.raises(UsageError, match="--folds 11: there are 10 groups to cut; give at most 10"):
        folds_of(table, 11, group_by="patient")
    two = write(tmp_path / "two", count=2)  # too few for the parts of a single run
    assert [fold["val"] for fold in folds_of(two, 2)[0]] in ([["i0"], ["i1"]], [["i1"], ["i0"]])


def test_what_cuts_the_data_in_another_way_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "data")
    with pytest.raises(UsageError, match=r"--split 70/15/15 and --folds 5 both cut the data; give one of them"):
        folds_of(table, 5, split=(0.7, 0.15, 0.15))


def test_columns_that_cannot_be_shared_out_are_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "data")
    with pytest.raises(UsageError, match=r"--stratify sites: no such column, .*patient, site, split.* mean 'site'"):
        open_dataset(table, DataConfig(stratify="sites"))
    table.write_text(table.read_text().replace("i3.png,m3.png,p3,A,", "i3.png,m3.png,p3,,"))
    with pytest.raises(UsageError, match=r"--stratify site: the column is empty for 1 of 30 images, for example 'i3'"):
        open_dataset(table, DataConfig(stratify="site"))
