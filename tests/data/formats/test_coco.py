"""COCO's instances against pycocotools, on real data and on small files with one mistake each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segkit.data.config import DataConfig
from segkit.data.drawing import draw_region
from segkit.data.findings import Finding, Severity
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats._coco_objects import decompressed
from segkit.data.formats._writing import WRITERS
from segkit.data.formats.coco import Coco
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError, SegkitError, UnreadableFileError
from segkit.structures import IGNORE_INDEX, ObjectAnnotation, Record, RunLengths
from tests.data.formats.mutations import mutations

SQUARE = [[2, 1, 6, 1, 6, 4, 2, 4]]
MARK = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [2, 1, 4, 3], "segmentation": SQUARE, "iscrowd": 0}
IMAGES = [{"id": 1, "file_name": "a.png", "width": 8, "height": 6}, {"id": 2, "file_name": "b.png"}]
CATEGORIES = [{"id": 2, "name": "cat"}, {"id": 5, "name": "dog"}]


def content(**changes: Any) -> dict[str, Any]:
    return {"images": IMAGES, "annotations": [MARK], "categories": CATEGORIES} | changes


def marked(**changes: Any) -> dict[str, Any]:
    """The content with one object, changed."""
    return content(annotations=[{**MARK, **changes}])


def put_image(path: Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8), value, np.uint8)).save(path)


def small_set(root: Path, plain: object, where: str = "annotations.json") -> Path:
    for number, name in enumerate("ab"):
        put_image(root / f"{name}.png", number)
    (root / where).parent.mkdir(parents=True, exist_ok=True)
    (root / where).write_text(json.dumps(plain))
    return root


def found(listing: Listing, code: str) -> Finding:
    return next(finding for finding in listing.findings if finding.code == code)


def objects(record: Record) -> tuple[ObjectAnnotation, ...]:
    assert record.annotation is not None
    return record.annotation.objects


def box_of(plain: list[float]) -> tuple[float, float, float, float]:
    left, top, width, height = plain
    return left, top, left + width, top + height


def theirs(path: Path) -> Iterator[tuple[str, list[dict[str, Any]], COCO]]:
    """Name without suffix, and objects in the file's order, of every image as pycocotools reads them."""
    coco = COCO(path)
    for image in coco.loadImgs(coco.getImgIds()):
        yield Path(image["file_name"]).stem, coco.imgToAnns[image["id"]], coco


@pytest.mark.parametrize("part", ["train", "val"])
def test_every_object_of_real_data_is_what_pycocotools_reads(datasets: Callable[[str], Path], part: str) -> None:
    root = datasets("coco_mini")
    records = {record.id: record for record in list_records(root).records if record.split == part}
    drawn = 0
    for name, expected, coco in theirs(root / "annotations" / f"instances_{part}2017.json"):
        record = records.pop(name)
        assert record.image == root / "images" / f"{part}2017" / f"{name}.jpg"
        size = record.annotation.size if record.annotation else None
        assert size is not None
        for ours, plain in zip(objects(record), expected, strict=True):
            assert ours.label == coco.cats[plain["category_id"]]["name"]
            assert ours.box == box_of(plain["bbox"])
            assert ours.ignored == bool(plain["iscrowd"])
            assert ours.region is not None
            np.testing.assert_array_equal(draw_region(ours.region, size), coco.annToMask(plain))
            drawn += 1
    assert (records, drawn) == ({}, {"train": 452, "val": 279}[part])


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_real_data_passes_the_check_with_what_a_small_cut_of_coco_lacks_allowed(
    datasets: Callable[[str], Path], task: Any
) -> None:
    config = DataConfig(channels="rgb", allow=("class-without-training-pixels",))
    dataset = open_dataset(datasets("coco_mini"), config, task=task)
    assert dataset.errors == ()
    assert (dataset.task, len(dataset.records)) == (task, 90)
    # COCO's ids have gaps, 1 to 90 for 80 categories, and stay.
    expected = {"segment": (0, "background"), "detect": (1, "person")}[task]
    assert (dataset.classes.ids[0], dataset.classes.names[0]) == expected
    assert (dataset.classes.ids[-1], dataset.classes.names[-1]) == (90, "toothbrush")


def test_categories_that_no_image_shows_are_said_and_no_mistake(
    datasets: Callable[[str], Path], tmp_path: Path
) -> None:
    dataset = open_dataset(datasets("coco_mini"), DataConfig(channels="rgb"))
    [unused] = [found for found in dataset.findings if found.code == "unused-class"]
    assert unused.severity is Severity.NOTE
    assert "fire hydrant, parking meter, cow, orange, toaster, hair drier, which no image shows" in unused.message
    [unlearnt] = [found for found in dataset.findings if found.code == "class-without-training-pixels"]
    assert "cow" not in unlearnt.message
    file = tmp_path / "classes.txt"
    file.write_text("\n".join(("background", *dataset.classes.names[1:], "unicorn")))
    declared = open_dataset(datasets("coco_mini"), DataConfig(channels="rgb", classes=file))
    [unlearnt] = [found for found in declared.findings if found.code == "class-without-training-pixels"]
    assert "unicorn (in no image at all)" in unlearnt.message  # the user's own list is meant as it stands


def test_the_mask_of_real_data_is_what_pycocotools_paints(datasets: Callable[[str], Path]) -> None:
    dataset = open_dataset(datasets("coco_mini"))
    record = next(record for record in dataset.records if any(one.ignored for one in objects(record)))
    part = "train" if "train2017" in str(record.image) else "val"
    path = datasets("coco_mini") / "annotations" / f"instances_{part}2017.json"
    plain, coco = next((plain, coco) for name, plain, coco in theirs(path) if name == record.id)
    mask = load_sample(record, dataset.classes).mask
    assert mask is not None
    expected = np.zeros(mask.shape, np.int64)
    for one in plain:
        expected[coco.annToMask(one) != 0] = -1 if one["iscrowd"] else one["category_id"]
    np.testing.assert_array_equal(mask == IGNORE_INDEX, expected == -1)
    np.testing.assert_array_equal(dataset.classes.indices_to_ids(mask.clip(min=0)), expected.clip(min=0))


def test_labelmes_export_declares_its_background(datasets: Callable[[str], Path]) -> None:
    root = datasets("annotation_formats") / "labelme" / "instance_segmentation" / "data_dataset_coco"
    dataset = open_dataset(root)
    assert (dataset.classes.ids[0], dataset.classes.names[0], dataset.classes.background) == (0, "_background_", 0)
    assert dataset.records[0].id == "JPEGImages/2011_000003"
    boxes = open_dataset(root, task="detect").classes
    assert (boxes.ids[0], boxes.names[0], boxes.num_classes) == (1, "aeroplane", 20)


def test_run_lengths_in_the_detection_form_of_panoptic_data(datasets: Callable[[str], Path]) -> None:
    root = datasets("annotation_formats") / "coco_panoptic"
    listing = list_records(root)
    assert listing.layout == "COCO instances, panoptic_coco_detection_format.json"
    for name, expected, _ in theirs(root / "panoptic_coco_detection_format.json"):
        record = next(record for record in listing.records if record.id == name)
        assert record.image.parent.name == "input_images"
        areas = [int(draw_region(one.region, (record.annotation.size)).sum()) for one in objects(record)]  # type: ignore[union-attr, arg-type]
        assert areas == [plain["area"] for plain in expected]


@pytest.mark.parametrize(
    ("json_file", "images", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train"),
        ("annotations/instances_train2017.json", "images/train2017", "train"),
        ("annotations/instances_val.json", "val/images", "val"),
        ("annotations/test.json", "images/test", "test"),
        ("annotations/instances_default.json", "images", None),
        ("annotations.json", ".", None),
        ("labels.json", "data", None),
        ("valid/_annotations.coco.json", "valid", "val"),
        ("images/annotations.json", "images", None),
    ],
)
def test_where_files_and_images_lie(tmp_path: Path, json_file: str, images: str, split: str | None) -> None:
    root = tmp_path / "test"  # the set's own name says no split
    small_set(root, content(), json_file)
    for name in "ab":
        (root / images).mkdir(parents=True, exist_ok=True)
        (root / f"{name}.png").rename(root / images / f"{name}.png")
    listing = list_records(root)
    assert listing.layout == f"COCO instances, {json_file}"
    assert [(record.id, record.split) for record in listing.records] == [("a", split), ("b", split)]
    assert listing.records[0].image == root / images / "a.png"
    assert [len(objects(record)) for record in listing.records] == [1, 0]
    assert listing.findings == ()


def test_the_file_itself_can_be_named(tmp_path: Path) -> None:
    small_set(tmp_path, content(), "annotations/train.json")
    listing = list_records(tmp_path / "annotations" / "train.json")
    assert [record.image for record in listing.records] == [tmp_path / "a.png", tmp_path / "b.png"]


def test_splits_as_roboflow_writes_them(tmp_path: Path) -> None:
    heading = {"id": 0, "name": "animals", "supercategory": "none"}
    categories = [heading, *({**category, "supercategory": "animals"} for category in CATEGORIES)]
    for part in ("train", "valid", "test"):
        small_set(tmp_path / part, content(categories=categories), f"{part}/_annotations.coco.json".split("/")[1])
    listing = list_records(tmp_path)
    assert [record.id for record in listing.records] == [f"{s}/{n}" for s in ("test", "train", "val") for n in "ab"]
    assert listing.declared is not None
    assert dict(zip(listing.declared.ids, listing.declared.names, strict=True)) == {2: "cat", 5: "dog"}


def test_coco_instances_come_before_keypoints_and_captions(tmp_path: Path) -> None:
    small_set(tmp_path, content(), "annotations/person_keypoints_val.json")
    small_set(
        tmp_path, content(annotations=[{"id": 1, "image_id": 1, "caption": "?"}]), "annotations/captions_val.json"
    )
    assert list_records(tmp_path).layout == "COCO instances, annotations/person_keypoints_val.json"
    small_set(tmp_path, content(), "annotations/instances_val.json")
    assert list_records(tmp_path).layout == "COCO instances, annotations/instances_val.json"


@pytest.mark.parametrize("plain", [[], {"shapes": [], "imagePath": "a.png"}, {"images": []}, {"annotations": []}])
def test_other_json_is_not_taken_for_coco(tmp_path: Path, plain: object) -> None:
    small_set(tmp_path, plain)
    assert not Coco().recognises(tmp_path)


def test_every_form_of_a_segmentation_is_the_same_region(tmp_path: Path) -> None:
    expected = np.zeros((6, 8), np.uint8)
    expected[1:4, 2:6] = 1
    compressed = coco_mask.encode(np.asfortranarray(expected))["counts"].decode()
    runs = [13, 3, 3, 3, 3, 3, 3, 3, 14]
    forms: list[Any] = [SQUARE, SQUARE[0], {"size": [6, 8], "counts": compressed}, {"size": [6, 8], "counts": runs}]
    for form in forms:
        record = list_records(small_set(tmp_path, marked(segmentation=form, bbox=[]))).records[0]
        (one,) = objects(record)
        assert one.region is not None
        np.testing.assert_array_equal(draw_region(one.region, (6, 8)), expected)
        assert one.box == (2, 1, 6, 4)


def test_compressed_run_lengths_are_read_as_pycocotools_writes_them() -> None:
    rng = np.random.default_rng(0)
    for number in range(60):
        pixels = rng.random((rng.integers(1, 40), rng.integers(1, 40))) > rng.random()
        pixels = np.kron(pixels, np.ones((7, 7), bool)) if number % 2 else pixels
        counts = coco_mask.encode(np.asfortranarray(pixels, np.uint8))["counts"].decode()
        runs = decompressed(counts)
        np.testing.assert_array_equal(np.repeat(np.arange(len(runs)) % 2, runs), pixels.ravel("F"))


def test_boxes_without_outlines_are_for_detection(tmp_path: Path) -> None:
    listing = list_records(small_set(tmp_path, marked(segmentation=None)))
    assert (listing.task, objects(listing.records[0])[0].region) == ("detect", None)
    both = content(annotations=[MARK, {**MARK, "id": 2, "segmentation": []}])
    assert list_records(small_set(tmp_path, both), task="detect").task == "detect"
    listing = list_records(small_set(tmp_path, both))
    assert (listing.task, listing.notes) == ("segment", ())
    boxed = found(listing, "object-without-outline")
    assert (boxed.severity, boxed.files, boxed.records) == (Severity.WARNING, ("a.png",), ("a",))
    assert boxed.message.startswith("1 object without an outline in 1 image of a set of outlines (cat): no pixel")


def test_an_object_with_a_box_alone_is_neither_background_nor_its_class(tmp_path: Path) -> None:
    boxed = {"id": 2, "image_id": 1, "category_id": 5, "bbox": [1, 3, 6, 2], "iscrowd": 0}
    root = small_set(tmp_path, content(annotations=[MARK, boxed]))
    dataset = open_dataset(root)
    mask = load_sample(next(record for record in dataset.records if record.id == "a"), dataset.classes).mask
    assert mask is not None
    cat, void = dataset.classes.names.index("cat"), IGNORE_INDEX
    assert mask.tolist() == [
        [0] * 8,
        *[[0, 0, cat, cat, cat, cat, 0, 0]] * 2,
        [0, void, cat, cat, cat, cat, void, 0],  # who is outlined there is known
        [0, *[void] * 6, 0],
        [0] * 8,
    ]
    WRITERS.get("coco")(dataset, tmp_path / "out")
    again = list_records(tmp_path / "out")
    assert [one.region is None for one in objects(again.records[0])] == [False, True]
    assert found(again, "object-without-outline").records == ("a",)


def test_crowds_and_voids_are_ignored(tmp_path: Path) -> None:
    plain = content(
        annotations=[{**MARK, "iscrowd": 1}, {**MARK, "ignore": 1}, {**MARK, "category_id": 7}, MARK],
        categories=[*CATEGORIES, {"id": 7, "name": "void"}],
    )
    listing = list_records(small_set(tmp_path, plain))
    assert [one.ignored for one in objects(listing.records[0])] == [True, True, True, False]
    assert listing.declared is not None
    assert listing.declared.names == ("cat", "dog")
    assert "not counted: 3 objects marked as crowd or to be ignored" in listing.notes


def test_images_that_are_not_there_are_named(tmp_path: Path) -> None:
    plain = content(images=[*IMAGES, {"id": 3, "file_name": "gone.png"}])
    listing = list_records(small_set(tmp_path, plain))
    assert found(listing, "missing-image").files == ("gone.png",)
    assert len(listing.records) == 2
    with pytest.raises(DataError, match=r"lists 1 image, and none is there, for example '\.\./gone\.png'"):
        list_records(small_set(tmp_path, content(images=[{"id": 1, "file_name": "../gone.png"}])))


@pytest.mark.parametrize("name", ["/home/somebody/a.png", r"C:\data\a.png", r"images\a.png", "../elsewhere/a.png"])
def test_paths_of_other_machines_lead_to_the_image_of_that_name(tmp_path: Path, name: str) -> None:
    listing = list_records(small_set(tmp_path, content(images=[{"id": 1, "file_name": name}])))
    assert [(record.id, record.image) for record in listing.records] == [("a", tmp_path / "a.png")]


def test_an_image_in_two_folders_is_in_doubt(tmp_path: Path) -> None:
    small_set(tmp_path, content(), "all.json")
    (tmp_path / "a.png").unlink()
    for side in ("left", "right"):
        put_image(tmp_path / side / "a.png")
    with pytest.raises(DataError, match=r"all\.json: a\.png lies in .*left and .*right; keep the images meant there"):
        list_records(tmp_path)


def test_two_files_about_one_image_are_refused(tmp_path: Path) -> None:
    small_set(tmp_path, content(), "annotations/first.json")
    small_set(tmp_path, content(), "annotations/second.json")
    with pytest.raises(DataError, match=r"first\.json and .*second\.json both describe a\.png"):
        list_records(tmp_path)


def test_images_that_differ_by_the_suffix_alone_are_in_doubt(tmp_path: Path) -> None:
    small_set(tmp_path, content(images=[*IMAGES, {"id": 3, "file_name": "a.bmp"}]))
    put_image(tmp_path / "a.bmp")
    listing = list_records(tmp_path)
    assert found(listing, "duplicate-id").files == ("a.bmp", "a.png")
    assert found(listing, "duplicate-id").records == ("a",)


def test_objects_of_images_that_are_not_listed_are_said(tmp_path: Path) -> None:
    listing = list_records(small_set(tmp_path, content(annotations=[MARK, {**MARK, "image_id": 99}])))
    said = "annotations.json: 1 annotation of an image_id that no listed image has (99; images have ids such as 1, 2); "
    assert found(listing, "orphan-mask").message.startswith(said)
    named = content(images=[{**IMAGES[0], "id": "a"}], annotations=[MARK, MARK, {**MARK, "image_id": None}])
    with pytest.raises(
        DataError, match=r"there; 3 annotations of an image_id .* \(1, null; images have ids such as \"a\""
    ):
        list_records(small_set(tmp_path, named))


@pytest.mark.parametrize("id_", ["1", 1.0])
def test_ids_are_equal_however_they_are_written(tmp_path: Path, id_: object) -> None:
    plain = content(annotations=[{**MARK, "image_id": id_, "category_id": 2.0}, {**MARK, "category_id": "2"}])
    assert len(objects(list_records(small_set(tmp_path, plain)).records[0])) == 2
    images = [{**IMAGES[0], "id": id_}, IMAGES[1]]
    plain = content(images=images, categories=[{"id": "2", "name": "cat"}, {"id": 5.0, "name": "dog"}])
    listing = list_records(small_set(tmp_path, plain))
    assert [one.label for one in objects(listing.records[0])] == ["cat"]
    assert listing.declared is not None
    assert listing.declared.ids == (2, 5)


def test_large_category_ids_are_numbered_anew_in_their_order(tmp_path: Path) -> None:
    categories = [{"id": 70000, "name": "owl", "color": [1, 2, 3]}, {"id": 7, "name": "cat", "color": [4, 5, 6]}]
    plain = content(annotations=[{**MARK, "category_id": 70000}, {**MARK, "category_id": 7}], categories=categories)
    listing = list_records(small_set(tmp_path, plain))
    assert [one.label for one in objects(listing.records[0])] == ["owl", "cat"]
    assert listing.declared is not None
    assert (listing.declared.names, listing.declared.ids) == (("cat", "owl"), (1, 2))
    assert listing.declared.colors == ((4, 5, 6), (1, 2, 3))
    said = "category ids above 65535 fit no mask, so the categories are numbered anew in their order, 1 to 2"
    assert listing.notes == (said,)
    plain["categories"] = [{"id": 0, "name": "background"}, *categories]
    declared = list_records(small_set(tmp_path, plain)).declared
    assert declared is not None
    assert (declared.ids, declared.background) == ((0, 1, 2), 0)


@pytest.mark.parametrize("above", ["cell", "none"])
def test_the_projects_name_is_no_category_even_where_one_is_called_so(tmp_path: Path, above: str) -> None:
    heading = {"id": 0, "name": "cell", "supercategory": "none"}
    categories = [heading, {"id": 2, "name": "cell", "supercategory": above}]
    declared = list_records(small_set(tmp_path, content(categories=categories))).declared
    assert declared is not None
    assert (declared.names, declared.ids) == (("cell",), (2,))


def test_category_0_is_no_heading_where_an_object_has_it(tmp_path: Path) -> None:
    categories = [
        {"id": 0, "name": "cell", "supercategory": "none"},
        {"id": 2, "name": "core", "supercategory": "cell"},
    ]
    plain = content(annotations=[MARK, {**MARK, "id": 2, "category_id": 0}], categories=categories)
    listing = list_records(small_set(tmp_path, plain))
    assert [one.label for one in objects(listing.records[0])] == ["core", "cell"]
    assert listing.findings == ()


def test_names_that_differ_by_case_are_found_where_one_file_is_meant(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.PNG"}, {"id": 2, "file_name": "B.png"}]
    annotations = [MARK, {**MARK, "image_id": 2}]
    listing = list_records(small_set(tmp_path, content(images=images, annotations=annotations)))
    assert [(record.id, record.image.name) for record in listing.records] == [("a", "a.png"), ("b", "b.png")]
    assert listing.notes == (
        "annotations.json spells 2 images in other upper and lower case than the files have, "
        "for example a.PNG for a.png",
    )
    put_image(tmp_path / "A.png")  # now nobody knows which of the two is meant by a.PNG
    listing = list_records(tmp_path)
    assert found(listing, "missing-image").files == ("a.PNG",)
    small_set(tmp_path, content())
    assert [record.image.name for record in list_records(tmp_path).records] == ["a.png", "b.png"]


def test_objects_of_an_image_that_is_listed_twice_are_united(tmp_path: Path) -> None:
    images, other = [*IMAGES, {"id": 3, "file_name": "./a.png"}], {**MARK, "id": 2, "image_id": 3, "category_id": 5}
    listing = list_records(small_set(tmp_path, content(images=images, annotations=[MARK, other])))
    assert [one.label for one in objects(listing.records[0])] == ["cat", "dog"]
    assert (len(listing.records), listing.findings) == (2, ())
    assert listing.notes == (
        "annotations.json lists 1 image under several ids, for example a.png: "
        "the objects of all its ids are read as its objects",
    )
    images[2] = {**IMAGES[0], "id": 3, "width": 9}
    listing = list_records(small_set(tmp_path, content(images=images, annotations=[MARK, other])))
    assert [record.id for record in listing.records] == ["b"]
    assert "(a.png: it is listed twice, with 8 x 6 and 9 x 6 pixels)" in found(listing, "unreadable-annotation").message
    images[2] = {"id": 3, "file_name": "a.png"}
    broken = content(images=images, annotations=[{**MARK, "category_id": 9}, other])
    assert [record.id for record in list_records(small_set(tmp_path, broken)).records] == ["b"]


def test_an_entry_of_images_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    listing = list_records(small_set(tmp_path, content(images=[*IMAGES, IMAGES[0]])))
    assert len(objects(listing.records[0])) == 1
    assert listing.notes == ("annotations.json lists 1 image again with the same id, for example a.png",)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category_id": 3}, "an object of the category 3, which is not among the categories"),
        ({"category_id": "two"}, "an object of the category 'two'"),
        ({"bbox": [1, 2, 3]}, "which is not \\[left, top, width, height\\]"),
        ({"bbox": [1, 2, -3, 4]}, "a bbox of -3 x 4 pixels"),
        ({"bbox": [1, 2, float("nan"), 4]}, "which is not \\[left"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "a polygon that is not"),
        ({"segmentation": [[1, 2, 3, 4, 5, "6"]]}, "a polygon that is not"),
        ({"segmentation": "outline"}, "a segmentation that is a text"),
        ({"segmentation": {"size": [6, 8], "counts": [40, 9]}}, "do not add up to the 48 pixels of 8 x 6"),
        ({"segmentation": {"size": [6, 8], "counts": [50, -2]}}, "neither a text nor whole numbers"),
        ({"segmentation": {"size": [6], "counts": [48]}}, "run lengths of the size \\[6\\]"),
        ({"segmentation": {"size": [60000, 60000], "counts": "0"}}, "above the limit"),
        ({"segmentation": {"size": [6, 8], "counts": "o"}}, "run lengths that are cut short"),
        ({"segmentation": {"size": [6, 8], "counts": "\x00é"}}, "no text of COCO's compressed form"),
        ({"segmentation": None, "bbox": None}, "a cat without bbox and segmentation"),
    ],
)
def test_broken_objects_cost_their_image_alone(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    listing = list_records(small_set(tmp_path, content(annotations=[{**MARK, **change}, {**MARK, "image_id": 2}])))
    assert [record.id for record in listing.records] == ["b"]
    broken = found(listing, "unreadable-annotation")
    assert broken.files == ("a.png",)
    assert broken.message.startswith("annotations.json: the objects of 1 image cannot be read (a.png: ")
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(broken.message)


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (content(images=[1]), "entry 0 of 'images' is a number"),
        (content(images=[{"id": 1}, *IMAGES]), "entry 0 of 'images' lacks an id or a file_name"),
        (
            content(images=[*IMAGES, {**IMAGES[0], "id": "2"}]),
            "the image id 2 is listed twice, for b.png and for a.png",
        ),
        (content(categories=[{"id": "two", "name": "cat"}]), "lacks a number from 0 as id, or a name"),
        (content(categories=[{"id": -1, "name": "cat"}]), "lacks a number from 0 as id, or a name"),
        (content(categories=[*CATEGORIES, {"id": 2, "name": "owl"}]), "'owl' .id 2. has a name or id that another"),
    ],
)
def test_files_of_another_form_are_named(tmp_path: Path, plain: object, reason: str) -> None:
    with pytest.raises(UnreadableFileError, match=rf"annotations\.json: .*{reason}"):
        Coco().list(small_set(tmp_path, plain))


def test_parts_with_other_categories_are_refused(tmp_path: Path) -> None:
    small_set(tmp_path / "train", content(), "_annotations.coco.json")
    other = content(categories=[{"id": 2, "name": "owl"}], annotations=[])
    small_set(tmp_path / "valid", other, "_annotations.coco.json")
    with pytest.raises(DataError, match=r"valid.*'owl' has the id 2, and .* says otherwise"):
        list_records(tmp_path)


def test_a_stated_size_that_is_not_the_images_is_found(tmp_path: Path) -> None:
    small_set(tmp_path, content(images=[{**IMAGES[0], "width": 9}, *IMAGES[1:]]))
    dataset = open_dataset(tmp_path)
    assert "size-mismatch" in {finding.code for finding in dataset.findings}


def test_nothing_marked_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no object is marked in any of its images"):
        list_records(small_set(tmp_path, content(annotations=[])))


def test_the_example_passes_the_check(tmp_path: Path) -> None:
    Coco().example(tmp_path)
    dataset = open_dataset(tmp_path)
    assert (dataset.errors, dataset.listing.findings) == ((), ())
    assert [len(dataset.split(part)) for part in ("train", "val", "test")] == [3, 1, 1]
    assert dataset.classes.ids == (0, 1, 3)


def rewritten(root: Path, out: Path, **options: Any) -> tuple[Listing, Listing, tuple[str, ...]]:
    """What is listed before and after a way through the writer, and what the writer said."""
    dataset = open_dataset(root, **options)
    said = WRITERS.get("coco")(dataset, out, None)
    return dataset.listing, list_records(out, task=dataset.task), said


def comparable(record: Record) -> list[tuple[Any, ...]]:
    shapes = [
        one.region
        if isinstance(one.region, RunLengths)
        else [ring.tolist() for ring in getattr(one.region, "rings", ())]
        for one in objects(record)
    ]
    return [(one.label, one.box, one.ignored, shape) for one, shape in zip(objects(record), shapes, strict=True)]


def test_writing_real_data_again_keeps_every_object(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    before, after, said = rewritten(datasets("coco_mini"), tmp_path)
    assert said == ()
    assert before.declared is not None
    assert after.declared is not None
    assert (after.declared.ids, after.declared.names) == (before.declared.ids, before.declared.names)
    again = {record.id: record for record in after.records}
    assert len(again) == 90
    for record in before.records:
        assert comparable(again[record.id]) == comparable(record)
        assert [one.area for one in objects(again[record.id])] == [one.area for one in objects(record)]
        assert again[record.id].image.read_bytes() == record.image.read_bytes()
    written = [mark for path in (tmp_path / "annotations").iterdir() for _, marks, _ in theirs(path) for mark in marks]
    assert len(written) == 452 + 279


def test_boxes_are_written_without_outlines(tmp_path: Path) -> None:
    small_set(tmp_path / "set", marked(segmentation=[], bbox=[2.25, 1, 4, 3]))
    before, after, said = rewritten(tmp_path / "set", tmp_path / "out", task="detect")
    assert said == ()
    assert [comparable(record) for record in after.records] == [comparable(record) for record in before.records]
    plain = json.loads((tmp_path / "out" / "annotations" / "instances.json").read_text())
    assert plain["categories"] == CATEGORIES
    expected = {"bbox": [2.25, 1, 4, 3], "area": 12, "segmentation": []}
    assert plain["annotations"] == [{"id": 1, "image_id": 1, "category_id": 2, "iscrowd": 0, **expected}]


def test_500_mutations_give_an_error_that_names_the_file_or_masks_of_the_right_size(tmp_path: Path) -> None:
    runs = {"size": [6, 8], "counts": [13, 3, 32]}
    packed = {"size": [6, 8], "counts": coco_mask.encode(np.asfortranarray(np.eye(6, 8), np.uint8))["counts"].decode()}
    shapes: list[Any] = [SQUARE, runs, packed]
    marks = [{**MARK, "id": n, "image_id": n % 2 + 1, "segmentation": shape} for n, shape in enumerate(shapes)]
    root = small_set(
        tmp_path, content(annotations=marks, images=[IMAGES[0], {**IMAGES[0], "id": 2, "file_name": "b.png"}])
    )
    path = root / "annotations.json"
    errors, listings = [], []
    for damaged in mutations(path.read_bytes(), 500):
        path.write_bytes(damaged)
        try:
            listings.append(Coco().list(root))
        except SegkitError as error:
            errors.append(str(error))
    assert min(len(errors), len(listings)) > 50
    unnamed = [error for error in errors if "annotations.json" not in error]
    assert all("has no JSON file with COCO's lists" in error for error in unnamed)
    marks_left = [one for listing in listings for record in listing.records for one in objects(record)]
    assert all(one.box is not None and np.isfinite(one.box).all() for one in marks_left)
    drawn = [drawable(one) for one in marks_left if one.region is not None]
    assert {pixels.shape for pixels in drawn if pixels is not None} == {(6, 8)}


def drawable(one: ObjectAnnotation) -> NDArray[Any] | None:
    """The pixels of an object, None where drawing refuses it."""
    assert one.region is not None
    try:
        return draw_region(one.region, (6, 8))
    except DataError:
        return None
