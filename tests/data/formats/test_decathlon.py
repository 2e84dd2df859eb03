"""The Medical Segmentation Decathlon: what its dataset.json lists, and what is missing of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from segkit.data.findings import Finding
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats.decathlon import Decathlon
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError, SegkitError, UnreadableFileError
from tests.data.formats.mutations import mutations


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Decathlon().example(tmp_path / "Task01")
    return tmp_path / "Task01"


def change(root: Path, **entries: Any) -> None:
    content = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps(content | entries))


def training(root: Path) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads((root / "dataset.json").read_text())["training"]
    return listed


def found(listing: Listing, code: str) -> Finding:
    return next(finding for finding in listing.findings if finding.code == code)


def test_hippocampus_is_listed_slice_by_slice_in_groups_of_volumes(datasets: Callable[[str], Path]) -> None:
    root = datasets("hippocampus_nifti")
    listing = list_records(root)
    assert listing.layout == "Medical Segmentation Decathlon (and nnU-Net version 1)"
    assert listing.channel_names == ("MRI",)
    assert listing.findings == ()
    volumes = {path.name.removesuffix(".nii.gz") for path in (root / "labels").glob("*.nii.gz")}
    assert {record.unit for record in listing.records} == volumes
    assert (len(volumes), len(listing.records)) == (130, 4628)


def test_hippocampus_passes_the_check_and_shows_what_nibabel_reads(
    datasets: Callable[[str], Path], tmp_path: Path
) -> None:
    root = datasets("hippocampus_nifti")
    content = json.loads((root / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(content | {"training": content["training"][:12]}))
    for folder in ("images", "labels"):
        (tmp_path / folder).symlink_to(root / folder)
    dataset = open_dataset(tmp_path)
    dataset.require_usable()
    assert dataset.classes.names == ("background", "Anterior", "Posterior")
    assert dataset.unit == "group"
    in_parts = [{record.unit for record in dataset.split(part)} for part in ("train", "val", "test")]
    assert sum(map(len, in_parts)) == 12  # no volume in two parts
    record = next(record for record in dataset.records if record.id == "hippocampus_004/017")
    sample = load_sample(record, dataset.classes)
    image = nibabel.load(root / "images/hippocampus_004.nii.gz").get_fdata()
    label = nibabel.load(root / "labels/hippocampus_004.nii.gz").get_fdata()
    np.testing.assert_array_equal(sample.image[..., 0], image[:, :, 17])
    np.testing.assert_array_equal(sample.mask, label[:, :, 17])


def test_the_fourth_axis_holds_channels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    volumes = {}
    for number in range(3):
        volumes[number] = rng.normal(size=(8, 9, 4, 2)).astype(np.float32)
        label = rng.integers(0, 2, (8, 9, 4), dtype=np.uint8)
        nibabel.Nifti1Image(volumes[number], np.eye(4)).to_filename(tmp_path / f"imagesTr/p_{number}.nii.gz")
        nibabel.Nifti1Image(label, np.eye(4)).to_filename(tmp_path / f"labelsTr/p_{number}.nii.gz")
    content = {
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "prostate"},
        "training": [{"image": f"imagesTr/p_{n}.nii.gz", "label": f"labelsTr/p_{n}.nii.gz"} for n in range(3)],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    dataset = open_dataset(tmp_path)
    dataset.require_usable()
    assert dataset.listing.channel_names == ("T2", "ADC")
    sample = load_sample(next(r for r in dataset.records if r.id == "p_1/002"), dataset.classes)
    np.testing.assert_array_equal(sample.image, volumes[1][:, :, 2, :])


def test_images_without_a_label_are_left_out_and_said(root: Path) -> None:
    change(root, test=["./imagesTs/a.png", "./imagesTs/b.png"])
    listing = list_records(root)
    assert [(record.id, record.split) for record in listing.records] == [(f"objects_00{n}", None) for n in (1, 2, 3, 4)]
    assert listing.notes == ("left out: 2 images that dataset.json lists without a label",)


def test_lists_of_validation_and_test_with_labels_are_parts(root: Path) -> None:
    first, second, *rest = training(root)
    change(root, training=rest, validation=[first], test=[second])
    assert [record.split for record in list_records(root).records] == ["val", "test", "train", "train"]


def test_channel_files_of_the_first_nnunet(root: Path) -> None:
    for file in sorted((root / "imagesTr").iterdir()):
        file.with_name(f"{file.stem}_0001.png").write_bytes(file.read_bytes())
        file.rename(file.with_name(f"{file.stem}_0000.png"))
    record = list_records(root).records[0]
    assert record.id == "objects_001"
    assert [file.name for file in record.image_files] == ["objects_001_0000.png", "objects_001_0001.png"]


def test_what_is_listed_and_not_there_is_named(root: Path) -> None:
    (root / "imagesTr/objects_001.png").unlink()
    (root / "labelsTr/objects_002.png").unlink()
    change(root, training=[*training(root), training(root)[3]])
    listing = list_records(root)
    assert [record.id for record in listing.records] == ["objects_003", "objects_004"]
    assert found(listing, "missing-image").files == ("imagesTr/objects_001.png",)
    assert found(listing, "missing-mask").files == ("imagesTr/objects_002.png",)
    assert found(listing, "duplicate-id").records == ("objects_004",)


def test_equal_names_in_several_folders_keep_their_folder(root: Path) -> None:
    entries = training(root)
    for number, entry in enumerate(entries[:2]):
        (root / f"site{number}").mkdir()
        (root / entry["image"]).rename(root / f"site{number}/scan.png")
        entry["image"] = f"./site{number}/scan.png"
    change(root, training=entries)
    ids = [record.id for record in list_records(root).records]
    assert ids == ["imagesTr/objects_003", "imagesTr/objects_004", "site0/scan", "site1/scan"]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"labels": ["background"]}, r"dataset\.json: 'labels' is a list, and an object"),
        ({"labels": {"0": "a", "1": "a"}}, r"'labels' has the name 'a' twice"),
        ({"labels": {"0": "a", "70000": "b"}}, r"id of the label 'b' is no whole number from 0 to 65535"),
        ({"training": {}}, r"'training' is an object, and a list of images is expected"),
        ({"training": [{"label": "a.png"}]}, r"'training\[0\]\.image' is null, and the path of a file is expected"),
        ({"training": [{"image": "a.png", "label": 3}]}, r"'training\[0\]\.label' is a number"),
        ({"training": [{"image": "a\0.png", "label": "b"}]}, r"'training\[0\]\.image' is no name of a file"),
    ],
)
def test_a_dataset_json_that_is_wrong_says_where(root: Path, entries: dict[str, Any], message: str) -> None:
    change(root, **entries)
    with pytest.raises(UnreadableFileError, match=message):
        list_records(root, "decathlon")


def test_nothing_that_is_there_is_one_error(root: Path) -> None:
    change(root, training=[{"image": "a.png", "label": "b.png"}])
    with pytest.raises(DataError, match=r"dataset\.json names no image with a label so that both are there"):
        list_records(root)


def test_500_mutations_are_an_error_with_the_name_or_a_listing(root: Path) -> None:
    for mutated in mutations((root / "dataset.json").read_bytes(), 500):
        (root / "dataset.json").write_bytes(mutated)
        nameless = False
        try:
            listing = list_records(root, "decathlon")
        except SegkitError as error:
            nameless = str(root) not in str(error)
        else:
            assert listing.records
            assert all(record.image.is_file() and record.mask_files[0].is_file() for record in listing.records)
        assert not nameless
