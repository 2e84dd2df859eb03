"""Layouts, pairs, splits and tables, judged by names."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.data.findings import Finding
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats._folders import FolderName, ImageFiles, subfolders
from segkit.data.formats._pairing import EQUAL_NAMES, NameRule, find_class_files, find_rule
from segkit.data.image_io import read_raster
from segkit.errors import DataError, UnreadableFileError, UsageError


def make(root: Path, *patterns: str) -> Path:
    """Empty files, because listing opens none; `{a,b}` in a path stands for each of a and b."""
    for pattern in patterns:
        options = re.search(r"\{(.*?)\}", pattern)
        if options:
            make(root, *(pattern.replace(options[0], option, 1) for option in options[1].split(",")))
        else:
            (root / pattern).parent.mkdir(parents=True, exist_ok=True)
            (root / pattern).touch()
    return root


def found(listing: Listing, code: str) -> Finding:
    return next(finding for finding in listing.findings if finding.code == code)


def test_camvid_is_segnets_layout_with_its_splits(datasets: Callable[[str], Path]) -> None:
    listing = list_records(datasets("camvid"))
    assert listing.layout == "mask folder, train + trainannot"
    assert [sum(r.split == part for r in listing.records) for part in ("train", "val", "test")] == [367, 101, 233]
    assert listing.class_file is not None
    assert listing.class_file.name == "classes.csv"
    assert listing.findings == () == listing.notes
    record = next(r for r in listing.records if r.id == "0001TP_006690")
    assert isinstance(record.mask, Path)
    assert (record.image.name, record.mask.parent.name) == ("0001TP_006690.jpg", "trainannot")


def test_membrane_slices_are_flat_image_and_label(datasets: Callable[[str], Path]) -> None:
    listing = list_records(datasets("isbi2012_em"))
    assert listing.layout == "mask folder, flat"
    assert [record.id for record in listing.records] == [f"{number:02d}" for number in range(30)]


def test_split_csv_beside_real_data(datasets: Callable[[str], Path]) -> None:
    listing = list_records(datasets("hrf_av"))
    assert [sum(r.split == part for r in listing.records) for part in ("train", "test")] == [24, 21]
    assert listing.notes == ("splits from split.csv",)


@pytest.mark.parametrize("images", ["images", "Image", "imgs", "IMG"])
@pytest.mark.parametrize("masks", ["masks", "Mask", "labels", "LABEL", "annotations", "annotation"])
def test_flat_folders_by_any_name(tmp_path: Path, images: str, masks: str) -> None:
    make(tmp_path, f"{images}/{{a,b}}.jpg", f"{masks}/{{a,b}}.png")
    listing = list_records(tmp_path)
    assert (listing.layout, listing.task) == ("mask folder, flat", "segment")
    assert [(record.id, record.split) for record in listing.records] == [("a", None), ("b", None)]


@pytest.mark.parametrize(
    ("layout", "pattern"),
    [
        ("mask folder, split first", "{split}/{kind}/{name}.png"),
        ("mask folder, kind first", "{kind}/{split}/{name}.png"),
        ("mask folder, train_images + train_masks", "{split}_{kind}/{name}.png"),
        ("mask folder, images-train + masks-train", "{kind}-{split}/{name}.png"),
    ],
)
def test_split_folders(tmp_path: Path, layout: str, pattern: str) -> None:
    names = {"train": "abc", "validation" if "first" in layout else "val": "d", "test": "e"}
    for split, ids in names.items():
        for id_ in ids:
            make(tmp_path, *(pattern.format(split=split, kind=kind, name=id_) for kind in ("images", "masks")))
    listing = list_records(tmp_path)
    assert listing.layout == layout
    assert [record.split for record in listing.records] == ["train", "train", "train", "val", "test"]
    assert listing.findings == ()


def test_names_that_repeat_across_splits_carry_the_split(tmp_path: Path) -> None:
    make(tmp_path, "train/{images,masks}/{0,1}.png", "val/{images,masks}/0.png")
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == ["train/0", "train/1", "val/0"]
    assert "image names repeat across splits, so every id starts with its split" in listing.notes


def test_folders_of_patients_are_part_of_the_id(tmp_path: Path) -> None:
    make(tmp_path, "images/p{1,2}/{a,b}.tif", "masks/p{1,2}/{a,b}_seg.png")
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == ["p1/a", "p1/b", "p2/a", "p2/b"]
    assert listing.notes == ("masks pair by the suffix '_seg'",)


@pytest.mark.parametrize(
    ("images", "masks", "note"),
    [
        ("x{1,2,11}", "x{1,2,11}_mask", "masks pair by the suffix '_mask'"),
        ("{1,2,11}", "gt-{1,2,11}", "masks pair by the prefix 'gt-'"),
        ("img_{01,02,03}", "mask_{01,02,03}", "masks pair by the prefix 'mask' in place of 'img'"),
        ("{21,22}_training", "{21,22}_manual1", "masks pair by the suffix 'manual1' in place of 'training'"),
        ("{21,22}_image", "{21,22}", "masks pair by names without the images' suffix '_image'"),
    ],
)
def test_one_constant_piece_pairs_and_is_said(tmp_path: Path, images: str, masks: str, note: str) -> None:
    make(tmp_path, f"images/{images}.png", f"masks/{masks}.gif")
    listing = list_records(tmp_path)
    assert listing.notes == (note,)
    assert listing.findings == ()
    for record in listing.records:
        assert isinstance(record.mask, Path)
        assert re.findall(r"\d+", record.mask.stem)[0] == re.findall(r"\d+", record.id)[0]


def test_a_number_that_goes_on_is_no_suffix() -> None:
    images, masks = [f"frame{i}" for i in (1, 2, 3)], [f"frame{i}0" for i in (1, 2, 3)]
    assert find_rule(images, masks) == EQUAL_NAMES
    assert find_rule(images, [f"frame{i}.0" for i in (1, 2, 3)]) == NameRule("", ".0")


def test_unpaired_files_are_named(tmp_path: Path) -> None:
    make(tmp_path, "images/{a,b,c}.png", "masks/{a,b,d}_mask.png")
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == ["a", "b"]
    assert found(listing, "missing-mask").files == ("images/c.png",)
    assert found(listing, "missing-mask").message == "images without a mask (1): add the masks, or take the images out"
    assert found(listing, "orphan-mask").files == ("masks/d_mask.png",)


def test_files_that_differ_by_suffix_alone_are_named(tmp_path: Path) -> None:
    make(tmp_path, "images/a.{jpg,png}", "masks/a.png")
    listing = list_records(tmp_path)
    assert found(listing, "duplicate-id").files == ("images/a.jpg", "images/a.png")
    assert found(listing, "duplicate-id").records == ("a",)


def test_records_in_doubt_are_known_by_their_final_ids(tmp_path: Path) -> None:
    make(tmp_path, "{train,val}/{images,masks}/{0,1}.png", "val/masks/1.tif")
    listing = list_records(tmp_path)
    assert found(listing, "duplicate-id").files == ("val/masks/1.png", "val/masks/1.tif")
    assert found(listing, "duplicate-id").records == ("val/1",)
    make(tmp_path / "classes", "{cat,dog}/{1,2}.jpg", "dog/2.png")
    assert found(list_records(tmp_path / "classes"), "duplicate-id").records == ("dog/2",)


def test_one_folder_or_file_per_class(tmp_path: Path) -> None:
    make(tmp_path / "folders", "images/{1,2,3}.png", "masks/nucleus/{1,2}.png", "masks/cell/{2}_cell.png")
    make(tmp_path / "files", "images/{1,11}.png", "masks/1_cell.png", "masks/{1,11}_cell_wall.png")
    folders, files = list_records(tmp_path / "folders"), list_records(tmp_path / "files")
    assert folders.records[1].mask == {
        "cell": tmp_path / "folders/masks/cell/2_cell.png",
        "nucleus": tmp_path / "folders/masks/nucleus/2.png",
    }
    assert found(folders, "missing-mask").files == ("images/3.png",)
    assert files.records[1].mask == {"cell_wall": tmp_path / "files/masks/11_cell_wall.png"}
    assert files.records[0].mask == {
        "cell": tmp_path / "files/masks/1_cell.png",
        "cell_wall": tmp_path / "files/masks/1_cell_wall.png",
    }
    assert files.notes == (
        "one mask file per class: cell, cell_wall; an image without a file for a class holds none of it",
    )


def test_a_folder_of_objects_per_image_is_no_class(tmp_path: Path) -> None:
    make(tmp_path, "images/{a,b}.png", "masks/a/{1,2}.png", "masks/b/1.png")
    with pytest.raises(DataError, match=r"no image pairs with a mask .* 'a\.png' and '1\.png'"):
        list_records(tmp_path)


def test_numbered_files_per_image_are_no_classes() -> None:
    assert find_class_files(["a", "b"], ["a_0", "a_1", "a_2", "b_0"]) is None


def test_other_files_are_said_and_hidden_ones_are_not(tmp_path: Path) -> None:
    make(tmp_path, "images/{a.png,a.json,Thumbs.db,._a.png,.DS_Store}", "masks/a.png")
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == ["a"]
    assert listing.notes == ("left out in images: 1 .db, 1 .json (no images)",)


def test_images_without_any_mask_folder_in_a_split(tmp_path: Path) -> None:
    make(tmp_path, "train/{images,masks}/a.png", "test/images/b.png")
    listing = list_records(tmp_path)
    assert found(listing, "unlabelled-split").files == ("test/images",)
    assert [record.id for record in listing.records] == ["a"]


def test_split_files_beside_the_data(tmp_path: Path) -> None:
    make(tmp_path, "images/{a,b,c}.png", "masks/{a,b,c}.png")
    (tmp_path / "train.txt").write_text("a.png\nb\n")
    (tmp_path / "val.txt").write_text("c\n")
    assert [record.split for record in list_records(tmp_path).records] == ["train", "train", "val"]
    (tmp_path / "train.txt").write_text("/data/a.png /data/annot/a.png\n")
    assert [record.split for record in list_records(tmp_path).records] == [None, None, None]
    (tmp_path / "split.csv").write_text("id,split\na,test\nb,train\nz,train\n")
    listing = list_records(tmp_path)
    assert [record.split for record in listing.records] == ["test", "train", None]
    assert found(listing, "unknown-split-id").files == ("z",)
    assert found(listing, "unknown-split-id").message.startswith(
        "split.csv names 1 id that no image has, for example 'z'"
    )


def test_paths_as_windows_writes_them(tmp_path: Path) -> None:
    for patient in "ab":
        make(tmp_path, f"images/{patient}/1.png", f"masks/{patient}/1.png")
    (tmp_path / "split.csv").write_text("id,split\na\\1,train\nb\\1.png,test\n")
    (tmp_path / "groups.csv").write_text("id,group\na\\1,first\nb/1,second\n")
    listing = list_records(tmp_path)
    assert [(r.id, r.split, r.group) for r in listing.records] == [("a/1", "train", "first"), ("b/1", "test", "second")]
    assert listing.findings == ()


def test_a_table_as_windows_writes_it(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b\\c.png", "masks/a.png", "masks/b.png")
    table = tmp_path / "data.csv"
    table.write_bytes(b"\xef\xbb\xbfimage;mask\r\nimages\\a.png;masks\\a.png\r\nimages/b\\c.png;masks/b.png\r\n")
    records = list_records(table).records
    assert [record.id for record in records] == ["images/a", "images/b\\c"]  # a name with a backslash stays as it is
    assert [record.image for record in records] == [tmp_path / "images/a.png", tmp_path / "images/b\\c.png"]
    assert [record.mask for record in records] == [tmp_path / "masks/a.png", tmp_path / "masks/b.png"]


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    make(tmp_path, "images/a/1.png", "masks/a/1.png", "elsewhere/2.png", "masks/other/2.png")
    (tmp_path / "images" / "a" / "back").symlink_to(tmp_path / "images")
    (tmp_path / "images" / "A").symlink_to(tmp_path / "images" / "a")  # the folder's own name comes first
    (tmp_path / "images" / "self").symlink_to(tmp_path / "images" / "self")
    (tmp_path / "images" / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    files = ImageFiles.below(tmp_path / "images")
    assert {name: file.relative_to(tmp_path).as_posix() for name, file in files.files.items()} == {
        "a/1": "images/a/1.png",
        "other/2": "images/other/2.png",
        "other/up/masks/a/1": "images/other/up/masks/a/1.png",
        "other/up/masks/other/2": "images/other/up/masks/other/2.png",
    }
    assert [folder.name for folder in subfolders(tmp_path / "images")] == ["A", "a", "other"]


def test_a_link_that_leads_nowhere_is_no_image_without_a_mask(tmp_path: Path) -> None:
    make(tmp_path, "images/1.png", "masks/1.png")
    (tmp_path / "images" / "2.png").symlink_to(tmp_path / "gone.png")
    (found,) = list_records(tmp_path).findings
    assert (found.code, found.files) == ("unreadable-image", ("images/2.png",))
    assert "lead nowhere" in found.message
    with pytest.raises(UnreadableFileError, match="a link that leads nowhere"):
        read_raster(tmp_path / "images" / "2.png")


@pytest.mark.parametrize("name", ["data.zip", "data.tar.gz"])
def test_an_archive_is_to_be_unpacked_first(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(UsageError, match=f"{name} is an archive; unpack it first and name the folder"):
        list_records(tmp_path / name)


def test_split_csv_comes_before_folders(tmp_path: Path) -> None:
    make(tmp_path, "train/{images,masks}/{a,b}.png", "test/{images,masks}/c.png")
    (tmp_path / "split.csv").write_text("id,split\na,train\nb,val\nc,test\n")
    listing = list_records(tmp_path)
    assert [record.split for record in listing.records] == ["train", "val", "test"]
    assert listing.notes == ("splits from split.csv, which overrides the data's own for 1 image",)


def test_a_list_that_is_no_text_is_no_split(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "train.txt").write_bytes(b"a\xff\n")
    assert [record.split for record in list_records(tmp_path).records] == [None]


def test_nothing_usable_says_what_is_expected(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "hollow/images").mkdir(parents=True)
    (tmp_path / "hollow/masks").mkdir()
    make(tmp_path / "foreign", "images/cat.png", "masks/dog.png")
    make(tmp_path / "unsure", "images/a.png", "masks/a.png", "labels/a.png")
    with pytest.raises(UsageError, match=r"nowhere does not exist; name a folder of images and masks"):
        list_records(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"empty has no layout segkit knows; expected images/ \+ masks/"):
        list_records(tmp_path / "empty")
    with pytest.raises(DataError, match=r"hollow/images holds no images segkit can read; put PNG"):
        list_records(tmp_path / "hollow")
    with pytest.raises(
        DataError, match=r"no image pairs with a mask .* 'cat\.png' and 'dog\.png'; names must be equal"
    ):
        list_records(tmp_path / "foreign")
    with pytest.raises(DataError, match=r"labels/ and masks/ could both be meant; rename one"):
        list_records(tmp_path / "unsure")
    with pytest.raises(UsageError, match=r"unknown data format 'mask-foldr'\. Did you mean 'mask-folder'\?"):
        list_records(tmp_path / "empty", "mask-foldr")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_table_of_images_and_masks(tmp_path: Path, separator: str) -> None:
    make(tmp_path, "scans/{a,b,c}.png", "truth/{1,2}.png")
    rows = ["Image,mask,group,split", "scans/a.png,truth/1.png,p1,train", "scans/b.png,truth/2.png,p2,valid"]
    rows += ["scans/c.png,truth/3.png,p3,test", ""]
    (tmp_path / "data.csv").write_text("\ufeff" + "\n".join(rows).replace(",", separator), encoding="utf-8")
    for root in (tmp_path, tmp_path / "data.csv"):
        listing = list_records(root)
        assert (listing.layout, listing.task) == ("table data.csv", "segment")
        assert [(r.id, r.group, r.split) for r in listing.records] == [
            ("scans/a", "p1", "train"),
            ("scans/b", "p2", "val"),
        ]
        assert listing.records[1].mask == tmp_path / "truth/2.png"
        assert found(listing, "missing-mask").files == ("scans/c.png",)


def test_table_of_labels(tmp_path: Path) -> None:
    make(tmp_path, "photos/{a,b}.png")
    (tmp_path / "labels.csv").write_text("image,label\nphotos/a.png,cat\nphotos/b.png,\nphotos/a.png,cat\n")
    listing = list_records(tmp_path)
    assert listing.task == "classify"
    assert [(record.id, record.label) for record in listing.records] == [("photos/a", "cat")]
    assert found(listing, "missing-label").files == ("photos/b.png",)
    assert found(listing, "duplicate-id").files == ("photos/a.png",)
    assert found(listing, "duplicate-id").records == ("photos/a",)


def test_a_table_of_masks_comes_before_folders_and_one_of_labels_after(tmp_path: Path) -> None:
    make(tmp_path, "images/{a,b}.png", "masks/{a,b}.png")
    (tmp_path / "labels.csv").write_text("image,label\nimages/a.png,cat\n")
    assert list_records(tmp_path).layout == "mask folder, flat"
    assert list_records(tmp_path, "table").task == "classify"
    (tmp_path / "pairs.csv").write_text("image,mask,group\nimages/a.png,masks/a.png,p1\n")
    (tmp_path / "labels.csv").unlink()
    assert list_records(tmp_path).layout == "table pairs.csv"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,msk\na,b\n", r"lacks the column mask \(or label\); it has image, msk\. Is 'msk' meant to be 'mask'\?"),
        ("", r"lacks the column image; it has none"),
        ("image,mask,split\na,b,trian\n", r"unknown split 'trian'; allowed: train, val, test"),
        ("image,mask\na,b,c\n", r"line 2: 3 cells, but 2 columns: image, mask"),
        ("image,mask\n,b\n", r"data\.csv has rows without an image; name it in the column image, or take the rows out"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    make(tmp_path, "a", "b")
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        list_records(tmp_path / "data.csv")


def test_a_table_in_another_encoding_beside_the_data_does_no_harm(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/a.png")
    (tmp_path / "notes.csv").write_bytes("patient,größe\nMüller,3\n".encode("latin-1"))
    assert list_records(tmp_path).layout == "mask folder, flat"
    (tmp_path / "data.csv").write_bytes("image,mask\nbäume.png,a.png\n".encode("latin-1"))
    with pytest.raises(
        UsageError, match=r"cannot read the table .*data\.csv: it is no UTF-8 text; save it as CSV in UTF-8"
    ):
        list_records(tmp_path)


def test_one_folder_per_class(tmp_path: Path) -> None:
    make(tmp_path / "plain", "{cat,dog}/{1,2}.jpg", "readme.txt")
    make(tmp_path / "split", "train/{cat,dog}/{1,2}.jpg", "test/cat/3.jpg")
    plain, split = list_records(tmp_path / "plain"), list_records(tmp_path / "split")
    assert (plain.layout, plain.task) == ("one folder per class", "classify")
    assert [(r.id, r.label) for r in plain.records][:3] == [("cat/1", "cat"), ("cat/2", "cat"), ("dog/1", "dog")]
    assert split.layout == "one folder per class, split first"
    assert [(r.id, r.label, r.split) for r in split.records][-1] == ("dog/2", "dog", "train")


@pytest.mark.parametrize("names", ["{train,val}/a.png", "{images,fov}/a.png", "only/a.png"])
def test_other_folders_are_no_classes(tmp_path: Path, names: str) -> None:
    with pytest.raises(UsageError, match="has no layout segkit knows"):
        list_records(make(tmp_path, names))


def test_listing_is_picklable(tmp_path: Path) -> None:
    listing = list_records(make(tmp_path, "images/{a,b}.png", "masks/cell/{a,b}.png", "masks/wall/a.png"))
    assert pickle.loads(pickle.dumps(listing)) == listing


def test_folder_names() -> None:
    assert FolderName.parse("trainannot") == FolderName("train", images=False, masks=True)
    assert FolderName.parse("Images_Val") == FolderName("val", images=True, masks=False)
    assert FolderName.parse("training") == FolderName("train", images=False, masks=False)
    assert FolderName.parse("trains") is None
    assert FolderName.parse("_") is None


@pytest.fixture
def both_targets(tmp_path: Path) -> Path:
    """A table with masks and labels, neither complete."""
    make(tmp_path, *(f"{name}.png" for name in ("a", "b", "c", "a_mask", "b_mask")))
    rows = ["image,mask,label", "a.png,a_mask.png,cat", "b.png,b_mask.png,", "c.png,,dog"]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "table.csv"


def test_of_two_targets_the_task_decides(both_targets: Path) -> None:
    masks = list_records(both_targets)
    assert (masks.task, [record.id for record in masks.records]) == ("segment", ["a", "b"])
    assert [record.label for record in masks.records] == [None, None]
    assert [found.code for found in masks.findings] == ["missing-mask"]
    labels = list_records(both_targets, task="classify")
    assert [(record.id, record.label, record.mask) for record in labels.records] == [
        ("a", "cat", None),
        ("c", "dog", None),
    ]
    assert (labels.task, [found.code for found in labels.findings]) == ("classify", ["missing-label"])
    assert list_records(both_targets, task="segment").records == masks.records


def test_an_empty_column_is_no_target(both_targets: Path) -> None:
    both_targets.write_text("image,mask,label\na.png,,cat\nb.png,,dog\n")
    assert list_records(both_targets).task == "classify"
    both_targets.write_text("image,mask,label\na.png,nowhere.png,cat\nb.png,,dog\n")
    with pytest.raises(DataError, match=r"names no image with a mask.*; its labels are learnt with '--task classify'"):
        list_records(both_targets)  # misspelt masks never turn a segmentation into a classification


def test_the_column_that_is_not_asked_for_may_name_nothing(both_targets: Path) -> None:
    """Masks that lie elsewhere do not keep anybody from classifying by the labels, and the other way round."""
    both_targets.write_text("image,mask,label\na.png,nowhere.png,cat\nb.png,nowhere.png,dog\n")
    assert [record.label for record in list_records(both_targets, task="classify").records] == ["cat", "dog"]
    with pytest.raises(DataError, match="names no image with a mask"):
        list_records(both_targets, task="segment")
    both_targets.write_text("image,mask\na.png,a_mask.png\n")
    assert list_records(both_targets, task="classify").task == "segment"  # what is there; the plan says what is not
