"""nnU-Net's raw data: what its dataset.json says, which files make an image, and the way there and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.findings import Finding
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats.nnunet import NnUNet, write_nnunet
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError, SegkitError, UnreadableFileError, UsageError
from segkit.structures import IGNORE_INDEX
from tests.data.formats.mutations import mutations


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The example: four images of two channels, PNG."""
    NnUNet().example(tmp_path / "Dataset001")
    return tmp_path / "Dataset001"


def change(root: Path, **entries: Any) -> None:
    """Change entries of the dataset.json; None takes one out."""
    content = json.loads((root / "dataset.json").read_text()) | entries
    kept = {key: value for key, value in content.items() if value is not None}
    (root / "dataset.json").write_text(json.dumps(kept))


def found(listing: Listing, code: str) -> Finding:
    return next(finding for finding in listing.findings if finding.code == code)


def stated(root: Path, config: DataConfig = DataConfig()) -> OpenDataset:  # noqa: B008, frozen
    """A data set with the parts that it states itself, as it is converted."""
    dataset = open_dataset(root, config)
    parts = {record.id: record.split for record in dataset.listing.records}
    return replace(dataset, records=tuple(replace(one, split=parts[one.id]) for one in dataset.records))


def test_channel_files_are_the_channels_of_one_image(root: Path) -> None:
    dataset = open_dataset(root)
    dataset.require_usable()
    assert dataset.listing.layout == "nnU-Net raw"
    assert dataset.listing.channel_names == ("bright field", "inverted")
    assert [record.id for record in dataset.listing.records] == [f"objects_{number:03d}" for number in range(4)]
    assert (dataset.classes.names, dataset.classes.background) == (("background", "bright", "dark"), 0)
    record = dataset.records[2]
    sample = load_sample(record, dataset.classes)
    for channel in (0, 1):
        stored = np.asarray(Image.open(root / "imagesTr" / f"objects_002_{channel:04d}.png"))
        np.testing.assert_array_equal(sample.image[..., channel], stored)
    np.testing.assert_array_equal(sample.mask, np.asarray(Image.open(root / "labelsTr/objects_002.png")))


def test_volumes_of_two_channels_are_read_slice_by_slice(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    volumes = {}
    for case in ("BRATS_001", "BRATS_002", "BRATS_003"):
        label = rng.integers(0, 3, (8, 9, 5), dtype=np.uint8)
        volumes[case] = [rng.normal(size=label.shape).astype(np.float32) for _ in range(2)]
        for channel, volume in enumerate(volumes[case]):
            nibabel.Nifti1Image(volume, np.eye(4)).to_filename(tmp_path / f"imagesTr/{case}_{channel:04d}.nii.gz")
        nibabel.Nifti1Image(label, np.eye(4)).to_filename(tmp_path / f"labelsTr/{case}.nii.gz")
    content = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "core": 1, "edema": 2}}
    (tmp_path / "dataset.json").write_text(json.dumps({**content, "file_ending": ".nii.gz", "numTraining": 3}))
    dataset = open_dataset(tmp_path)
    dataset.require_usable()
    assert len(dataset.records) == 15
    assert {record.unit for record in dataset.records} == set(volumes)
    sample = load_sample(next(r for r in dataset.records if r.id == "BRATS_002/003"), dataset.classes)
    np.testing.assert_array_equal(sample.image, np.stack([v[:, :, 3] for v in volumes["BRATS_002"]], axis=-1))


def test_a_colour_file_is_all_channels(tmp_path: Path) -> None:
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "imagesTr/road_1_0000.png")
    Image.fromarray(pixels[..., 0] % 2).save(tmp_path / "labelsTr/road_1.png")
    content = {"channel_names": {"0": "R", "1": "G", "2": "B"}, "labels": {"background": 0, "road": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps({**content, "file_ending": ".png"}))
    listing = list_records(tmp_path)
    assert listing.findings == ()
    assert [(record.id, record.channel_files) for record in listing.records] == [("road_1", ())]


def test_the_ignored_label_is_not_counted(root: Path) -> None:
    change(root, labels={"background": 0, "bright": 1, "ignore": 2})
    dataset = open_dataset(root)
    dataset.require_usable()
    assert dataset.classes.names == ("background", "bright")
    assert "not counted: ignore (2)" in dataset.notes
    mask = load_sample(dataset.records[0], dataset.classes).mask
    stored = np.asarray(Image.open(root / f"labelsTr/{dataset.records[0].id}.png"))
    np.testing.assert_array_equal(mask == IGNORE_INDEX, stored == 2)


def test_regions_are_learnt_as_the_labels_they_are_made_of(root: Path) -> None:
    change(root, labels={"background": 0, "whole": [1, 2], "core": [2]}, regions_class_order=[1, 2])
    dataset = open_dataset(root)
    dataset.require_usable()
    assert dict(zip(dataset.classes.names, dataset.classes.ids, strict=True)) == {
        "background": 0, "whole": 1, "core": 2,
    }  # fmt: skip
    assert (
        "regions overlap, so the labels they are made of are learnt, named after the smallest region: "
        "0 background, 1 whole, 2 core"
    ) in dataset.notes
    change(root, labels={"background": 0, "both": [1, 2]})
    assert open_dataset(root).classes.names == ("background", "both (1)", "both (2)")


def test_a_labelled_test_folder_is_the_test_part_and_an_unlabelled_one_is_left_out(root: Path) -> None:
    (root / "imagesTs").mkdir()
    for file in (root / "imagesTr").glob("objects_003_*"):
        file.rename(root / "imagesTs" / file.name)
    label = (root / "labelsTr/objects_003.png").rename(root / "objects_003.png")
    listing = list_records(root)
    assert [record.split for record in listing.records] == [None] * 3
    assert "left out: imagesTs, which has no labelsTs beside it" in listing.notes
    (root / "labelsTs").mkdir()
    label.rename(root / "labelsTs/objects_003.png")
    assert [record.split for record in list_records(root).records] == ["train", "train", "train", "test"]


def test_the_first_fold_gives_train_and_val_and_no_test_part(root: Path) -> None:
    ids = [f"objects_{number:03d}" for number in range(4)]
    folds = [{"train": ids[1:], "val": ids[:1]}, {"train": ids[:3], "val": ids[3:]}]
    (root / "splits_final.json").write_text(json.dumps(folds))
    listing = list_records(root)
    assert [record.split for record in listing.records] == ["val", "train", "train", "train"]
    assert "train and val are fold 0 of 2 in splits_final.json" in listing.notes
    folds[0]["train"].append("objects_9")
    (root / "splits_final.json").write_text(json.dumps(folds))
    assert found(list_records(root), "unknown-split-id").files == ("objects_9",)
    (root / "split.csv").write_text("id,split\n" + "\n".join(f"{id_},test" for id_ in ids))
    assert [record.split for record in list_records(root).records] == ["test"] * 4


def test_files_named_in_dataset_are_taken_wherever_they_lie(root: Path) -> None:
    (root / "elsewhere").mkdir()
    moved = [
        (root / "imagesTr" / f"objects_001_{channel:04d}.png").rename(root / "elsewhere" / f"{channel}.png")
        for channel in (0, 1)
    ]
    names = ["elsewhere/0.png", "../Dataset001/elsewhere/1.png"]
    entry = {"images": names, "label": "labelsTr/objects_001.png"}
    gone = {"images": ["elsewhere/0.png", "elsewhere/2.png"], "label": "labelsTr/objects_002.png"}
    change(root, dataset={"case": entry, "gone": gone})
    listing = list_records(root)
    (record,) = listing.records
    assert record.id == "case"
    assert [file.resolve() for file in record.image_files] == [file.resolve() for file in moved]
    assert found(listing, "missing-image").files == ("elsewhere/0.png", "elsewhere/2.png")


def test_what_lacks_a_channel_or_a_partner_is_named(root: Path) -> None:
    (root / "imagesTr/objects_001_0001.png").unlink()
    (root / "labelsTr/objects_002.png").unlink()
    (root / "labelsTr/other.png").write_bytes(b"")
    listing = list_records(root)
    assert [record.id for record in listing.records] == ["objects_000", "objects_003"]
    lacking = found(listing, "unreadable-image")
    assert lacking.files == ("imagesTr/objects_001_0000.png",)
    assert "expected are _0000 to _0001" in lacking.message
    assert found(listing, "missing-mask").files == (
        "imagesTr/objects_002_0000.png",
        "imagesTr/objects_002_0001.png",
    )
    assert found(listing, "orphan-mask").files == ("labelsTr/other.png",)
    (root / "imagesTr/objects_004_0000.tif").write_bytes(b"")
    assert "left out in imagesTr: 1 file without the ending .png" in list_records(root).notes


@pytest.mark.parametrize(
    ("entries", "error", "message"),
    [
        ({"file_ending": ".mha"}, DataError, r"dataset\.json: segkit cannot read files that end in '\.mha'; convert"),
        ({"file_ending": None}, UnreadableFileError, r"dataset\.json: 'file_ending' is missing"),
        ({"channel_names": {"T1": 0}}, UnreadableFileError, r"'channel_names' has the keys 'T1'; expected are '0'"),
        ({"channel_names": []}, UnreadableFileError, r"'channel_names' is a list, and an object"),
        ({"labels": {}}, UnreadableFileError, r"'labels' is empty"),
        ({"labels": {"background": 0, "x": -1}}, UnreadableFileError, r"id of the label 'x' is no whole number"),
        ({"labels": {"background": 0, "x": True}}, UnreadableFileError, r"id of the label 'x' is no whole number"),
        ({"labels": {"background": 0, "x": []}}, UnreadableFileError, r"the label 'x' has no id"),
        ({"labels": {"background": 0, "x": 1, "y": 1}}, UsageError, r"dataset\.json: the id 1 occurs twice"),
        ({"dataset": {"a": {"label": "x.png"}}}, UnreadableFileError, r"'dataset\.a' lacks 'images'"),
        ({"file_ending": ".tif"}, DataError, r"expected are imagesTr/NAME_0000\.tif and labelsTr/NAME\.tif"),
    ],
)
def test_a_dataset_json_that_is_wrong_says_where(
    root: Path, entries: dict[str, Any], error: type[SegkitError], message: str
) -> None:
    change(root, **entries)
    with pytest.raises(error, match=message):
        list_records(root, "nnunet")


def test_folders_of_nnunet_without_a_dataset_json_say_so(root: Path) -> None:
    (root / "dataset.json").unlink()
    with pytest.raises(DataError, match=r"Dataset001 has no dataset\.json, which says what the labels are"):
        list_records(root)


def test_500_mutations_are_an_error_with_the_name_or_a_listing(root: Path) -> None:
    content = json.loads((root / "dataset.json").read_text())
    case = {"images": ["imagesTr/objects_000_0000.png", "b.png"], "label": "labelsTr/objects_000.png"}
    content["dataset"] = {"objects_000": case, "objects_001": dict(case)}
    content["labels"] = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    original = json.dumps(content).encode()
    for mutated in mutations(original, 500):
        (root / "dataset.json").write_bytes(mutated)
        try:
            listing = list_records(root, "nnunet")
        except SegkitError as error:
            nameless = str(root) not in str(error)
        else:
            nameless = False
            assert listing.records
            assert all(record.image.is_file() and record.mask_files[0].is_file() for record in listing.records)
        assert not nameless


def test_200_mutations_of_the_folds_are_an_error_with_the_name_or_parts(root: Path) -> None:
    ids = [f"objects_{number:03d}" for number in range(4)]
    original = json.dumps([{"train": ids[1:], "val": ids[:1]}, {"train": ids[:3], "val": ids[3:]}]).encode()
    for mutated in mutations(original, 200):
        (root / "splits_final.json").write_bytes(mutated)
        nameless = False
        try:
            listing = list_records(root)
        except SegkitError as error:
            nameless = "splits_final.json" not in str(error)
        else:
            assert [record.id for record in listing.records] == ids
            assert {record.split for record in listing.records} <= {"train", "val", None}
        assert not nameless


def test_written_and_read_again_it_is_the_same(root: Path, tmp_path: Path) -> None:
    (root / "split.csv").write_text("id,split\n" + "\n".join(
        f"objects_{number:03d},{part}" for number, part in enumerate(("val", "train", "train", "test"))
    ))  # fmt: skip
    (root / "groups.csv").write_text("id,group\n" + "".join(f"objects_{n:03d},slide{(n + 1) // 2}\n" for n in range(4)))
    dataset = stated(root)
    assert write_nnunet(dataset, tmp_path / "out") == ()
    back = stated(tmp_path / "out")
    assert [record.group for record in back.records] == ["slide0", "slide1", "slide1", "slide2"]
    assert back.errors == dataset.errors
    assert back.classes.to_dict() == dataset.classes.to_dict()
    assert back.listing.channel_names == dataset.listing.channel_names
    assert [(r.id, r.split) for r in back.records] == [(r.id, r.split) for r in dataset.records]
    for first, second in zip(dataset.records, back.records, strict=True):
        one, other = load_sample(first, dataset.classes), load_sample(second, back.classes)
        assert one.image.dtype == other.image.dtype
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)


@pytest.mark.parametrize(
    ("dtype", "channels", "names"),
    [
        (np.uint8, 1, ["a_0000.png"]),
        (np.uint16, 3, ["a_0000.png"]),
        (np.uint8, 4, [f"a_{channel:04d}.png" for channel in range(4)]),
        (np.float32, 1, ["a_0000.tif"]),
        (np.float32, 3, [f"a_{channel:04d}.tif" for channel in range(3)]),
    ],
)
def test_values_of_every_type_and_number_of_channels_are_kept(
    tmp_path: Path, dtype: type[np.generic], channels: int, names: list[str]
) -> None:
    for folder in ("images", "masks"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = {name: (rng.random((channels, 7, 5)) * 200).astype(dtype) for name in "abc"}
    masks = {name: rng.choice(np.array([0, 1, 2, 255], np.uint8), (7, 5)) for name in images}
    for name, image in images.items():
        tifffile.imwrite(
            tmp_path / f"data/images/{name}.tif",
            image,
            photometric="minisblack",
            planarconfig="separate" if channels > 1 else None,
        )
        Image.fromarray(masks[name]).save(tmp_path / f"data/masks/{name}.png")
    write_nnunet(stated(tmp_path / "data"), tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out/imagesTr").glob("a_*")) == names
    labels = json.loads((tmp_path / "out/dataset.json").read_text())["labels"]
    assert labels == {"background": 0, "class 1": 1, "class 2": 2, "ignore": 3}
    back = stated(tmp_path / "out")
    for record in back.records:
        sample = load_sample(record, back.classes)
        np.testing.assert_array_equal(sample.image, np.moveaxis(images[record.id], 0, -1), strict=True)
        expected = np.where(masks[record.id] == 255, IGNORE_INDEX, masks[record.id].astype(np.int16))
        np.testing.assert_array_equal(sample.mask, expected)


def test_what_nnunet_cannot_hold_is_said(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    for folder, suffix in (("train", ".jpg"), ("trainannot", ".png")):
        (tmp_path / "few" / folder).mkdir(parents=True)
        for file in sorted((datasets("camvid") / folder).glob(f"0001TP_0069*{suffix}")):
            (tmp_path / "few" / folder / file.name).symlink_to(file)
    (tmp_path / "few/classes.csv").symlink_to(datasets("camvid") / "classes.csv")
    dataset = stated(tmp_path / "few")
    assert len(dataset.records) >= 3
    losses = write_nnunet(dataset, tmp_path / "out")
    assert losses == (
        "nnU-Net wants a background: it has the id 0, and no pixel shows it",
        "classes are numbered 1, 2, 3, ... anew",
        "colours of classes are not kept",
    )
    back = open_dataset(tmp_path / "out")
    assert back.classes.names == ("background", *dataset.classes.names)
    by_id = {record.id: record for record in back.records}
    for record in dataset.records:
        one = load_sample(record, dataset.classes)
        other = load_sample(by_id[record.id], back.classes)
        np.testing.assert_array_equal(one.image, other.image)
        assert one.mask is not None
        np.testing.assert_array_equal(np.where(one.mask == IGNORE_INDEX, IGNORE_INDEX, one.mask + 1), other.mask)
