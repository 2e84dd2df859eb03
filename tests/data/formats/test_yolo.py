"""YOLO's layouts: boxes as COCO states them, masks as pycocotools draws the same outlines, one mistake per test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segkit.data.config import DataConfig
from segkit.data.drawing import draw_region
from segkit.data.findings import Finding
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats._writing import WRITERS
from segkit.data.formats._yolo_files import read_yolo_file
from segkit.data.formats.coco import Coco
from segkit.data.formats.yolo import Yolo
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError, SegkitError, UnreadableFileError, UsageError
from segkit.structures import IGNORE_INDEX, ObjectAnnotation, Record, RunLengths
from tests.data.formats.mutations import damaged_texts

OUTLINE = "0 0.25 0.25 0.75 0.25 0.75 0.5 0.25 0.5"
BOX = "1 0.5 0.5 0.25 0.5"


def small_set(root: Path, labels: str = OUTLINE, parts: str = "train", **changes: Any) -> Path:
    """Images a and b of 8 x 6 pixels in every part, a label file for a, and a `data.yaml`."""
    for number, part in enumerate(parts.split()):
        for name in "ab":
            path = root / "images" / part / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((6, 8), 2 * number + (name == "a"), np.uint8)).save(path)
        (root / "labels" / part).mkdir(parents=True, exist_ok=True)
        (root / "labels" / part / "a.txt").write_text(labels)
    content = {part: f"images/{part}" for part in parts.split()} | {"names": ["cat", "dog"]} | changes
    (root / "data.yaml").write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))
    return root


def found(listing: Listing, code: str) -> Finding:
    return next(finding for finding in listing.findings if finding.code == code)


def objects(record: Record, size: tuple[int, int] = (6, 8)) -> tuple[ObjectAnnotation, ...]:
    """In pixels of an image of `size` (H, W)."""
    assert record.annotation is not None
    return record.annotation.in_pixels(size).objects


def real_set(root: Path, out: Path, labels: str) -> Path:
    """COCO's images with one of the two kinds of label files, and a `data.yaml`."""
    content = json.loads((root / "annotations" / "instances_val2017.json").read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    if labels == "labels_yolo_box":
        names = dict(enumerate(names.values()))
    out.mkdir()
    (out / "images").symlink_to(root / "images")
    (out / "labels").symlink_to(root / labels)
    parts = {"train": "images/train2017", "val": "images/val2017"}
    (out / "coco_mini.yaml").write_text(yaml.safe_dump({**parts, "names": names}))
    return out


def coco_marks(root: Path) -> dict[str, tuple[tuple[int, int], list[dict[str, Any]]]]:
    """Name of an image -> its size (H, W), and its objects, each with the name of its class."""
    marks: dict[str, tuple[tuple[int, int], list[dict[str, Any]]]] = {}
    for part in ("train", "val"):
        content = json.loads((root / "annotations" / f"instances_{part}2017.json").read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        stems = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
        marks |= {stems[image["id"]]: ((image["height"], image["width"]), []) for image in content["images"]}
        for mark in content["annotations"]:
            marks[stems[mark["image_id"]]][1].append({**mark, "name": names[mark["category_id"]]})
    return marks


def test_boxes_of_real_data_are_cocos(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    """The label files are of COCO's own boxes, its JSON here of whole pixels: most agree to 1.5 pixels."""
    root = datasets("coco_mini")
    listing = list_records(real_set(root, tmp_path / "set", "labels_yolo_box"))
    assert (listing.task, listing.layout, len(listing.records)) == ("detect", "YOLO labels, coco_mini.yaml", 90)
    assert {record.split for record in listing.records} == {"train", "val"}
    every, distances = coco_marks(root), []
    for record in listing.records:
        size, marks = every[record.id]
        for mark in (mark for mark in marks if not mark["iscrowd"]):
            left, top, width, height = mark["bbox"]
            own = [one.box for one in objects(record, size) if one.label == mark["name"]]
            corners = np.array([left, top, left + width, top + height])
            distances.append(min((np.abs(np.array(box) - corners).max() for box in own), default=np.inf))
    assert len(distances) == 724
    assert np.mean(np.array(distances) < 1.5) > 0.9


def test_outlines_of_real_data_are_cocos(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    root = datasets("coco_mini")
    listing = list_records(real_set(root, tmp_path / "set", "labels_yolo_seg"))
    assert listing.task == "segment"
    every, shared = coco_marks(root), []
    for record in listing.records:
        size, marks = every[record.id]
        lines = record.annotation.source.read_text().splitlines() if record.annotation and marks else []
        for one, mark, line in zip(objects(record, size), marks, lines, strict=True):
            assert one.label == mark["name"]
            assert one.region is not None
            ours = draw_region(one.region, size)
            corners = np.array(line.split()[1:], np.float64).reshape(-1, 2) * size[::-1]
            assert (ours != filled([corners.ravel().tolist()], size)).sum() <= 2  # our corners have 32 bits
            if len(mark["segmentation"]) == 1 and not mark["iscrowd"]:  # of others the label file joins the rings
                theirs = filled(mark["segmentation"], size)
                shared.append((ours & theirs).sum() / max((ours | theirs).sum(), 1))
    assert len(shared) > 500
    assert np.mean(shared) > 0.95  # both follow the same pixels, with other corners left out


def filled(rings: list[list[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """What pycocotools fills."""
    pixels: NDArray[np.bool_] = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(rings, *size))) != 0
    return pixels


def test_real_data_passes_the_check_with_what_a_small_cut_of_coco_lacks_allowed(
    datasets: Callable[[str], Path], tmp_path: Path
) -> None:
    config = DataConfig(channels="rgb", allow=("class-without-training-pixels",))
    outlines = open_dataset(real_set(datasets("coco_mini"), tmp_path / "outlines", "labels_yolo_seg"), config)
    assert outlines.errors == ()
    assert (outlines.classes.ids[:2], outlines.classes.ids[-1]) == ((0, 1), 90)
    boxes = open_dataset(real_set(datasets("coco_mini"), tmp_path / "boxes", "labels_yolo_box"), config)
    assert boxes.errors == ()
    assert (boxes.task, boxes.classes.ids) == ("detect", tuple(range(80)))


def test_boxes_and_outlines_in_one_set(tmp_path: Path) -> None:
    root = small_set(tmp_path, f"{OUTLINE}\n\n{BOX}\n")
    listing = list_records(root)
    outlined, boxed = objects(listing.records[0])
    assert (outlined.label, outlined.box) == ("cat", (2, 1.5, 6, 3))
    assert (boxed.label, boxed.box, boxed.region) == ("dog", (3, 1.5, 5, 4.5), None)
    assert (listing.task, [finding.code for finding in listing.findings]) == ("segment", ["object-without-outline"])
    dataset = open_dataset(root)
    mask = load_sample(next(record for record in dataset.records if record.id == "a"), dataset.classes).mask
    assert mask is not None
    assert mask.tolist()[2:4] == [[0, 0, 1, 1, 1, 1, 0, 0], [0, 0, 0, IGNORE_INDEX, IGNORE_INDEX, 0, 0, 0]]
    assert list_records(root, task="detect").task == "detect"
    assert objects(listing.records[1]) == ()  # b has no label file


@pytest.mark.parametrize("names", [["cat", "dog"], {0: "cat", 1: "dog"}, {"1": "dog", "0": "cat"}])
def test_names_as_list_or_table(tmp_path: Path, names: object) -> None:
    declared = list_records(small_set(tmp_path, names=names)).declared
    assert declared is not None
    assert (declared.ids, declared.names) == ((0, 1), ("cat", "dog"))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "."},
        {"path": "/content/datasets/of-another-machine"},
        {"path": "..", "train": "set/images/train"},
        {"train": ["images/train"]},
        {"train": "../images/train"},
        {"train": "list.txt"},
        {"train": ["list.txt"], "path": "."},
    ],
)
def test_where_images_are_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    root = small_set(tmp_path / "set", **changes)
    (root / "list.txt").write_text("./images/train/a.png\nimages/train/b.png\n")
    listing = list_records(root)
    assert [(record.id.removeprefix("train/"), record.split) for record in listing.records] == [
        ("a", "train"),
        ("b", "train"),
    ]
    assert [len(objects(record)) for record in listing.records] == [1, 0]
    assert listing.records[0].image.samefile(root / "images" / "train" / "a.png")


@pytest.mark.parametrize("front", ["C:\\Users\\bob\\set\\", "/home/bob/set/", "\\\\server\\share\\bob\\"])
@pytest.mark.parametrize("is_list", [False, True])
def test_absolute_paths_of_another_machine_are_read_by_their_ends(tmp_path: Path, front: str, is_list: bool) -> None:
    slash = front[-1]
    named = front + slash.join(("images", "train"))
    root = small_set(tmp_path, train=f"{front}list.txt" if is_list else named, path=front)
    (root / "list.txt").write_text(f"{named}{slash}a.png\n{named}{slash}b.png\n")
    listing = list_records(root)
    assert [record.id.removeprefix("train/") for record in listing.records] == ["a", "b"]
    assert [len(objects(record)) for record in listing.records] == [1, 0]
    example = f"{front}list.txt as list.txt" if is_list else f"{named} as images/train"
    said = f"of data.yaml or its lists lead nowhere here and are read by their ends, for example {example}"
    assert listing.notes == (f"3 paths {said}" if is_list else f"1 path {said}",)
    assert listing.findings == ()


def test_the_ends_of_relative_paths_are_other_paths(tmp_path: Path) -> None:
    root = small_set(tmp_path, train=["images/train", "deep/images/train", "images\\train"])
    assert found(list_records(root), "missing-image").files == ("deep/images/train",)


def test_parts_and_the_file_itself(tmp_path: Path) -> None:
    root = small_set(tmp_path, parts="train valid test", train=["images/train"])
    expected = ["test/a", "test/b", "train/a", "train/b", "val/a", "val/b"]
    assert [record.id for record in list_records(root).records] == expected
    assert [record.id for record in list_records(root / "data.yaml").records] == expected


def test_labels_beside_the_images(tmp_path: Path) -> None:
    small_set(tmp_path, train="images/train")
    (tmp_path / "labels" / "train" / "a.txt").rename(tmp_path / "images" / "train" / "a.txt")
    assert len(objects(list_records(tmp_path).records[0])) == 1


def test_masks_stand_in_place_of_images(tmp_path: Path) -> None:
    root = small_set(tmp_path, parts="train val", masks_dir="truth", names={0: "ground", 4: "cat"})
    for part in ("train", "val"):
        (root / "truth" / part).mkdir(parents=True)
        stored = np.zeros((6, 8), np.uint8)
        stored[1, 1:3], stored[5] = 4, 255
        Image.fromarray(stored).save(root / "truth" / part / "a.png")
    listing = list_records(root)
    assert (listing.task, listing.layout) == ("segment", "YOLO masks, data.yaml")
    assert found(listing, "missing-mask").files == ("images/train/b.png", "images/val/b.png")
    dataset = open_dataset(root, DataConfig(allow=("missing-mask",)))
    assert dataset.classes.ids == (0, 4)
    mask = load_sample(dataset.records[0], dataset.classes).mask
    assert mask is not None
    assert [(mask == index).sum() for index in (0, 1, -1)] == [38, 2, 8]


def test_keypoints_behind_a_box_are_not_corners(tmp_path: Path) -> None:
    listing = list_records(small_set(tmp_path, f"{BOX} 0.5 0.5 2 0.25 0.5 2", kpt_shape=[2, 3]))
    assert (objects(listing.records[0])[0].box, listing.task) == ((3, 1.5, 5, 4.5), "detect")


def test_void_objects_are_ignored(tmp_path: Path) -> None:
    listing = list_records(small_set(tmp_path, f"{OUTLINE}\n{BOX}", names=["cat", "void"]))
    assert [one.ignored for one in objects(listing.records[0])] == [False, True]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.5", "line 2 has 3 coordinates; a box has 4, an outline 6 or more in pairs"),
        (f"{OUTLINE} 0.5", "line 2 has 9 coordinates"),
        ("cat 0.5 0.5 0.5 0.5", "line 2 is not numbers alone"),
        ("2 0.5 0.5 0.5 0.5", "line 2 is of the class 2, which names does not list"),
        ("0.5 0.5 0.5 0.5 0.5", "line 2 is of the class 0.5"),
        ("0 320 240 10 10", "no shares of the image's size, 0 to 1"),
        ("0 0.5 nan 0.5 0.5", "no shares of the image's size, 0 to 1"),
        ("0 0.5 0.5 -0.25 0.5", "line 2 holds a box of negative size"),
    ],
)
def test_broken_labels_cost_their_image_alone(tmp_path: Path, line: str, reason: str) -> None:
    listing = list_records(small_set(tmp_path, f"{OUTLINE}\n{line}\n"))
    assert [record.id for record in listing.records] == ["b"]
    broken = found(listing, "unreadable-annotation")
    assert broken.files == ("labels/train/a.txt",)
    assert f"(labels/train/a.txt: {reason}" in broken.message or reason in broken.message


def test_labels_without_an_image_and_images_that_are_not_there_are_named(tmp_path: Path) -> None:
    root = small_set(tmp_path)
    (root / "labels" / "train" / "z.txt").write_text(OUTLINE)
    (root / "labels" / "train" / "classes.txt").write_text("cat\ndog\n")
    assert found(list_records(root), "orphan-mask").files == ("labels/train/z.txt",)
    small_set(tmp_path, train=["images/train", "images/more"])
    assert found(list_records(root), "missing-image").files == ("images/more",)
    small_set(tmp_path, train="list.txt")
    (root / "list.txt").write_text("images/train/a.png\nimages/train/gone.png\n")
    assert found(list_records(root), "missing-image").files == ("images/train/gone.png",)


def test_images_that_differ_by_the_suffix_alone_are_in_doubt(tmp_path: Path) -> None:
    root = small_set(tmp_path)
    Image.new("L", (8, 6)).save(root / "images" / "train" / "a.bmp")
    listing = list_records(root)
    assert found(listing, "duplicate-id").files == ("images/train/a.bmp", "images/train/a.png")


@pytest.mark.parametrize(
    ("changes", "error", "reason"),
    [
        ({"names": {"cat": 0}}, UnreadableFileError, r"data\.yaml: names holds something else than ids"),
        ({"names": ["cat", "cat"]}, UnreadableFileError, "a name of a class occurs twice"),
        ({"names": {70000: "cat"}}, UnreadableFileError, "ids from 0 to 65535"),
        ({"train": 3}, UnreadableFileError, "train is neither a folder"),
        ({"train": ""}, UnreadableFileError, "it names no images; it needs train, val or test"),
        ({"masks_dir": 3}, UnreadableFileError, "masks_dir is the name of a folder"),
        (
            {"train": "photos"},
            DataError,
            r"data\.yaml: no image is there; it names photos, looked for in .*; write the line 'train: FOLDER'",
        ),
        ({"masks_dir": "masks"}, DataError, "no image has a mask, for example .*a.png; masks/ mirrors images/"),
    ],
)
def test_wrong_files_say_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], error: type[SegkitError], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        list_records(small_set(tmp_path, **changes))


@pytest.mark.parametrize(
    "text",
    [
        "names: " + "[" * 100_000,
        "a: &m0 {x: 1}\n" + "".join(f"b{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}\n" for n in range(1, 60)),
        "a: &m0 [x]\n" + "".join(f"b{n}: &m{n} [*m{n - 1}, *m{n - 1}]\n" for n in range(1, 60)) + "names: *m59\n",
        "names: &a [*a]\n",
        "names: [2001-99-99]\n",
        "names: !!python/object/apply:os.getcwd []\n",
    ],
)
def test_yaml_made_to_do_harm_is_refused_at_once(tmp_path: Path, text: str) -> None:
    small_set(tmp_path)
    (tmp_path / "data.yaml").write_text(f"{text}\ntrain: images/train\n")
    with pytest.raises(UnreadableFileError, match=r"data\.yaml: (it is no YAML|names holds something else)"):
        read_yolo_file(tmp_path / "data.yaml")


def test_no_label_file_at_all_is_said(tmp_path: Path) -> None:
    (small_set(tmp_path) / "labels" / "train" / "a.txt").unlink()
    with pytest.raises(DataError, match="no image has a label file; labels/ mirrors images/"):
        list_records(tmp_path)


def test_other_yaml_is_not_taken_for_yolo(tmp_path: Path) -> None:
    small_set(tmp_path)
    (tmp_path / "data.yaml").write_text("train: images\nbatch: 4\n")
    assert not Yolo().recognises(tmp_path)
    assert not Yolo().recognises(tmp_path / "data.yaml")


def test_what_is_written_holds_the_same_pixels_and_boxes(tmp_path: Path) -> None:
    """Polygons, run lengths and a crowd, which YOLO cannot hold."""
    Coco().example(tmp_path / "coco")
    dataset = open_dataset(tmp_path / "coco", DataConfig(split=None))
    said = WRITERS.get("yolo")(dataset, tmp_path / "yolo", None)
    assert said == (
        "5 objects that are not counted are left out",
        "holes and parts of one object are joined by lines without width",
    )
    again = {record.id: record for record in list_records(tmp_path / "yolo").records}
    for record in dataset.records:
        assert record.annotation is not None
        counted = [one for one in record.annotation.objects if not one.ignored]
        written = objects(again[record.id], (32, 32))
        assert [one.label for one in written] == [one.label for one in counted]
        for ours, theirs in zip(written, counted, strict=True):
            assert ours.region is not None
            assert theirs.region is not None
            np.testing.assert_array_equal(draw_region(ours.region, (32, 32)), draw_region(theirs.region, (32, 32)))
            assert isinstance(theirs.region, RunLengths) or ours.box == theirs.box


def test_writing_real_data_keeps_every_object_that_counts(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    dataset = open_dataset(datasets("coco_mini"), task="detect")
    said = WRITERS.get("yolo")(dataset, tmp_path, None)
    assert said == ("7 objects that are not counted are left out",)
    again = {record.id: record for record in list_records(tmp_path).records}
    for record in dataset.records:
        assert record.annotation is not None
        size = dataset.facts.images[record.id].size
        counted = [one for one in record.annotation.objects if not one.ignored]
        written = objects(again[record.id], size)
        assert [one.label for one in written] == [one.label for one in counted]
        for ours, theirs in zip(written, counted, strict=True):
            assert ours.box == pytest.approx(theirs.box, abs=1e-4)


@pytest.mark.parametrize("name", ["labels/train/a.txt", "data.yaml", "list.txt"])
def test_500_mutations_give_an_error_or_a_finding_that_names_the_file_or_sound_objects(
    tmp_path: Path, name: str
) -> None:
    root = small_set(tmp_path, f"{OUTLINE}\n{BOX}\n", **({"train": "list.txt"} if name == "list.txt" else {}))
    (root / "list.txt").write_text("images/train/a.png\nimages/train/b.png\n")
    errors, listings = [], []
    for damaged in damaged_texts((root / name).read_bytes(), 500, seed=len(name)):
        (root / name).write_bytes(damaged)
        try:
            listings.append(Yolo().list(root))
        except SegkitError as error:
            errors.append(str(error))
    assert len(listings) > 20
    assert all("data.yaml" in error or name in error for error in errors)
    records = [record for listing in listings for record in listing.records]
    assert {record.id.removeprefix("train/") for record in records} <= {"a", "b"}
    marks = [one for record in records for one in objects(record)]
    assert all(one.box is not None and np.isfinite(one.box).all() for one in marks)
    assert {draw_region(one.region, (6, 8)).shape for one in marks if one.region is not None} == {(6, 8)}


LABELIMG: dict[str, tuple[str, ...]] = {
    "one folder": ("{n}.png", "{n}.txt", "classes.txt"),
    "two folders": ("images/{n}.png", "labels/{n}.txt", "labels/classes.txt"),
    "classes above": ("images/{n}.png", "labels/{n}.txt", "classes.txt"),
    "kind first": ("images/train/{n}.png", "labels/train/{n}.txt", "labels/classes.txt"),
    "split first": ("train/images/{n}.png", "train/labels/{n}.txt", "train/labels/classes.txt"),
}
"""Where labelImg's users keep an image, its labels, and the names of classes."""


def labelimg_set(root: Path, layout: str, labels: tuple[str, ...] = (BOX, f"{BOX}\n0 0.5 0.5 1 1")) -> Path:
    """Images a, b and c of 8 x 6 pixels, label files of the first two, and the classes cat and dog."""
    image, label, classes = (root / place for place in LABELIMG[layout])
    for seed, name in enumerate("abc"):
        path = Path(str(image).format(n=name))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 8), seed, np.uint8)).save(path)
    for name, text in zip("ab", labels, strict=True):
        path = Path(str(label).format(n=name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    classes.write_text("cat\ndog\n")
    return root


@pytest.mark.parametrize("layout", LABELIMG)
def test_labels_of_labelimg_need_no_yaml(tmp_path: Path, layout: str) -> None:
    listing = list_records(labelimg_set(tmp_path, layout))
    assert (listing.task, listing.layout, listing.findings) == ("detect", "YOLO labels, classes.txt", ())
    assert [record.id for record in listing.records] == ["a", "b", "c"]
    assert {record.split for record in listing.records} == {"train" if "train" in LABELIMG[layout][0] else None}
    boxes = [[(one.label, one.box) for one in objects(record)] for record in listing.records]
    dog, cat = ("dog", (3, 1.5, 5, 4.5)), ("cat", (0, 0, 8, 6))
    assert boxes == [[dog], [dog, cat], []]
    assert listing.class_file is None
    assert listing.declared is not None
    assert (listing.declared.names, listing.declared.ids) == (("cat", "dog"), (0, 1))


def test_outlines_beside_a_list_of_classes_are_drawn_on_background(tmp_path: Path) -> None:
    dataset = open_dataset(labelimg_set(tmp_path, "two folders", (OUTLINE, OUTLINE.replace("0 ", "1 ", 1))))
    assert (dataset.task, dataset.classes.names) == ("segment", ("background", "cat", "dog"))


def test_masks_come_before_labels_without_a_yaml(tmp_path: Path) -> None:
    root = labelimg_set(tmp_path, "classes above")
    (root / "masks").mkdir()
    for name in "abc":
        Image.fromarray(np.ones((6, 8), np.uint8)).save(root / "masks" / f"{name}.png")
    assert list_records(root).layout == "mask folder, flat"
    assert list_records(root, "yolo").task == "detect"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"cat\ncat\n", "a name of a class occurs twice"),
        (b"\xff\xfe\x00", "it is no text; it has the name of one class per line"),
        (b"\n", "it names no class"),
    ],
)
def test_wrong_lists_of_classes_say_what_is_wrong(tmp_path: Path, content: bytes, reason: str) -> None:
    root = labelimg_set(tmp_path, "one folder")
    (root / "classes.txt").write_bytes(content)
    with pytest.raises(UnreadableFileError, match=rf"classes\.txt: {reason}"):
        list_records(root)


def test_text_beside_images_makes_no_labels(tmp_path: Path) -> None:
    root = labelimg_set(tmp_path, "one folder", ("a cat on a mat, asleep", "3 4 5 6 7"))
    with pytest.raises(UsageError, match="has no layout segkit knows"):
        list_records(root)
