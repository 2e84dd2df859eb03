"""labelme: shapes as labelme paints them, groups, flags, embedded images, and broken files."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

from segkit.data.drawing import draw_region
from segkit.data.formats._base import Listing, list_records
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError
from segkit.structures import IGNORE_INDEX, ClassMap, ObjectAnnotation, Polygons

SQUARE = [[1, 1], [5, 1], [5, 5], [1, 5]]


def shape(label: object, points: object, kind: str | None = "polygon", group: object = None, **more: object) -> object:
    return {"label": label, "points": points, "shape_type": kind, "group_id": group, "flags": {}, **more}


def png(mask: NDArray[Any]) -> str:
    file = BytesIO()
    Image.fromarray((mask * 255).astype(np.uint8)).save(file, format="PNG")
    return b64encode(file.getvalue()).decode()


def write(
    root: Path, name: str, *shapes: object, flags: Mapping[str, bool] | None = None, image: str = "", **more: object
) -> Path:
    """A file of labelme with an image of 40 x 30 beside it, unless `image` names another."""
    content: dict[str, Any] = {
        "version": "5.8.0",
        "flags": flags or {},
        "shapes": shapes,
        "imagePath": image or f"{Path(name).name}.png",
    }
    content.update({"imageData": None, "imageHeight": 30, "imageWidth": 40, **more})
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / f"{name}.json").write_text(json.dumps(content))
    if not image:
        pixels = np.random.default_rng(len(name)).integers(0, 255, (30, 40), np.uint8)
        Image.fromarray(pixels).save(root / f"{name}.png")
    return root


def objects(listing: Listing) -> Sequence[ObjectAnnotation]:
    (record,) = listing.records
    assert record.annotation is not None
    return record.annotation.objects


def intersection_over_union(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_every_shape_with_an_area_and_the_others_are_said(datasets: Callable[[str], Path]) -> None:
    """The file of labelme's own example, each shape against its geometry."""
    listing = list_records(datasets("annotation_formats") / "labelme" / "primitives")
    assert (listing.layout, listing.task) == ("labelme", "segment")
    said = "shapes left out, which cover no area or have no label: 1 line, 1 point, 1 linestrip"
    assert said in listing.notes
    marked = {one.label: one for one in objects(listing)}
    assert [one.label for one in objects(listing)] == ["rectangle", "circle", "rectangle", "polygon", "octagon"]
    assert objects(listing)[0].box == (32, 35, 132, 135)
    size = (450, 560)
    rows, columns = np.mgrid[:450, :560] + 0.5
    circle = (columns - 195) ** 2 + (rows - 84) ** 2 <= 30**2 + 41**2
    assert marked["circle"].region is not None
    assert intersection_over_union(draw_region(marked["circle"].region, size), circle) > 0.98
    assert marked["octagon"].region is not None
    octagon = draw_region(marked["octagon"].region, size)
    left, top, right, bottom = (int(edge) for edge in marked["octagon"].box or ())
    assert (left, top, right, bottom) == (417, 305, 517, 405)
    assert octagon[350, 420:510].all()
    assert not octagon[306, 418]


@pytest.mark.parametrize("kind", ["semantic_segmentation", "instance_segmentation"])
def test_painted_masks_agree_with_labelmes_own(datasets: Callable[[str], Path], kind: str) -> None:
    """labelme paints outlines in too, so borders differ by a pixel."""
    folder = datasets("annotation_formats") / "labelme" / kind
    names = (folder / "labels.txt").read_text().split("\n")[1:]
    listing = list_records(folder / "data_annotated")
    assert len(listing.records) == 3
    classes = ClassMap(("background", *[name for name in names if name and name != "_background_"]))
    for record in listing.records:
        theirs = np.asarray(Image.open(folder / "data_dataset_voc" / "SegmentationClass" / f"{record.id}.png"))
        ours = load_sample(record, classes).mask
        assert ours is not None
        for value in np.unique(theirs).tolist():
            one, other = ours == (IGNORE_INDEX if value == 255 else value), theirs == value
            border = np.abs(np.diff(other.astype(int), axis=0)).sum() + np.abs(np.diff(other.astype(int), axis=1)).sum()
            assert (one != other).sum() <= 1.0 * border, (record.id, value)
        assert (ours == np.where(theirs == 255, IGNORE_INDEX, theirs.astype(int))).mean() > 0.98


def test_painted_masks_of_video_frames_agree_with_labelmes_own(datasets: Callable[[str], Path]) -> None:
    folder = datasets("annotation_formats") / "labelme" / "video_annotation"
    dataset = open_dataset(folder)
    assert dataset.classes.names == ("background", "car", "track")
    for record in dataset.records:
        name = Path(record.id).name
        theirs = np.asarray(Image.open(folder / "data_dataset_voc" / "SegmentationClassPNG" / f"{name}.png"))
        assert np.mean(load_sample(record, dataset.classes).mask == theirs) > 0.99


def test_objects_agree_with_labelmes_coco_file(datasets: Callable[[str], Path]) -> None:
    folder = datasets("annotation_formats") / "labelme" / "instance_segmentation"
    coco = COCO(str(folder / "data_dataset_coco" / "annotations.json"))
    names = {id_: one["name"] for id_, one in coco.cats.items()}
    images = {Path(one["file_name"]).stem: id_ for id_, one in coco.imgs.items()}
    compared = 0
    for record in list_records(folder / "data_annotated", task="detect").records:
        assert record.annotation is not None
        theirs = coco.imgToAnns[images[record.id]]
        ours = record.annotation.objects
        assert sorted(one.label for one in ours if not one.ignored) == sorted(
            names[one["category_id"]] for one in theirs if names[one["category_id"]] != "__ignore__"
        )
        size = record.annotation.size
        assert size is not None
        for one in ours:
            assert one.region is not None
            drawn = draw_region(one.region, size)
            same = [coco.annToMask(other) > 0 for other in theirs if names[other["category_id"]] == one.label]
            if same:
                assert max(intersection_over_union(drawn, other) for other in same) > 0.85
                compared += 1
    assert compared == 12  # every one that counts


def test_ignored_and_background_shapes_are_what_labelme_makes_of_them(tmp_path: Path) -> None:
    for name in "abc":
        inner = [[2, 2], [4, 2], [4, 4], [2, 4]]
        write(
            tmp_path,
            name,
            shape("cat", SQUARE),
            shape("_background_", inner),
            shape("__ignore__", [[6, 1], [8, 1], [8, 3]]),
        )
    dataset = open_dataset(tmp_path)
    assert set(dataset.classes.names) == {"_background_", "cat"}
    cat, background = dataset.classes.names.index("cat"), dataset.classes.background
    mask = load_sample(dataset.records[0], dataset.classes).mask
    assert mask is not None
    assert [mask[1, 1], mask[3, 3], mask[20, 20], mask[1, 7]] == [cat, background, background, IGNORE_INDEX]
    assert open_dataset(tmp_path, task="detect").classes.names == ("cat",)


def test_a_class_of_rectangles_alone_is_no_class_beside_outlines(tmp_path: Path) -> None:
    for name in ("a", "bb", "ccc"):  # images of equal pixels are none of three parts
        write(
            tmp_path,
            name,
            shape("cat", SQUARE),
            shape("cat", [[10, 10], [12, 12]], "rectangle"),
            shape("dog", [[20, 10], [22, 12]], "rectangle"),
            shape("__ignore__", [[3, 1], [4, 5]], "rectangle"),
        )
    dataset = open_dataset(tmp_path)
    assert (dataset.errors, dataset.classes.names) == ((), ("background", "cat"))
    [boxed] = [finding for finding in dataset.findings if finding.code == "object-without-outline"]
    assert boxed.message.startswith(
        "6 objects without an outline in 3 images of a set of outlines (cat, dog): no pixel"
    )
    mask = load_sample(dataset.records[0], dataset.classes).mask
    assert mask is not None
    assert mask[1, :6].tolist() == [0, 1, 1, IGNORE_INDEX, 1, 0]  # a rectangle that marks an area is one
    assert mask[11, 9:23].tolist() == [0, *[IGNORE_INDEX] * 2, *[0] * 8, *[IGNORE_INDEX] * 2, 0]
    assert open_dataset(tmp_path, task="detect").classes.names == ("cat", "dog")


def test_shapes_of_one_group_are_one_object(tmp_path: Path) -> None:
    far = [[20, 20], [30, 20], [30, 28]]
    shapes = [shape("cat", SQUARE, group=1), shape("cat", far, group=1), shape("cat", far, group=2), shape("cat", far)]
    (first, *others) = objects(list_records(write(tmp_path, "a", *shapes)))
    assert len(others) == 2
    assert first.box == (1, 1, 30, 28)
    assert isinstance(first.region, Polygons)
    assert len(first.region.rings) == 2


def test_groups_do_not_change_what_is_painted(tmp_path: Path) -> None:
    """The second half of the cat lies over the dog, which lies over the first."""
    shapes = [
        shape("cat", SQUARE, group=1),
        shape("dog", SQUARE),
        shape("cat", [[1, 1], [3, 1], [3, 5], [1, 5]], group=1),
    ]
    root = write(tmp_path, "a", *shapes)
    (record,) = list_records(root).records
    mask = load_sample(record, ClassMap(("background", "cat", "dog"))).mask
    assert mask is not None
    assert mask[2, :6].tolist() == [0, 1, 1, 2, 2, 0]
    assert [one.label for one in objects(list_records(root, task="detect"))] == ["cat", "dog"]


def test_a_mask_and_an_outline_of_one_group_are_one_object(tmp_path: Path) -> None:
    mask = np.array([[1, 0], [1, 1]], bool)
    shapes = [shape("cat", SQUARE, group=1), shape("cat", [[10, 10], [11, 11]], "mask", 1, mask=png(mask))]
    (one,) = objects(list_records(write(tmp_path, "a", *shapes)))
    expected = np.zeros((30, 40), bool)
    expected[1:5, 1:5], expected[10:12, 10:12] = True, mask
    assert one.region is not None
    np.testing.assert_array_equal(draw_region(one.region, (30, 40)), expected)


@pytest.mark.parametrize(
    ("kind", "points", "box"),
    [
        ("rectangle", [[5, 9], [2, 3]], (2, 3, 5, 9)),
        ("rectangle", [[2, 3], [5, 3], [5, 9], [2, 9]], (2, 3, 5, 9)),
        ("circle", [[10, 10], [13, 14]], (5, 5, 15, 15)),
        ("oriented_rectangle", [[5, 1], [9, 5], [5, 9], [1, 5]], (1, 1, 9, 9)),
        (None, [[1, 1], [4, 1], [4, 7]], (1, 1, 4, 7)),
    ],
)
def test_boxes_around_shapes(tmp_path: Path, kind: str, points: object, box: tuple[float, ...]) -> None:
    (one,) = objects(list_records(write(tmp_path, "a", shape("cat", points, kind)), task="detect"))
    assert one.box is not None
    np.testing.assert_allclose(one.box, box, atol=0.05)


def test_flags_are_labels(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    listing = list_records(datasets("annotation_formats") / "labelme" / "classification")
    assert (listing.task, [(Path(r.id).name, r.label) for r in listing.records]) == (
        "classify",
        [("0001", "cat"), ("0002", "dog")],
    )
    assert listing.declared is not None
    assert listing.declared.names == ("cat", "dog")
    write(tmp_path, "a", flags={"cat": True, "dog": False})
    write(tmp_path, "b", flags={"cat": True, "dog": True})
    write(tmp_path, "c", flags={"cat": False})
    write(tmp_path, "d", flags={"__ignore__": True, "cat": True})
    listing = list_records(tmp_path)
    assert [(record.id, record.label) for record in listing.records] == [("a", "cat")]
    assert [(found.code, found.files) for found in listing.findings] == [
        ("missing-label", ("c.png",)),
        ("unknown-label", ("b.png",)),
    ]
    assert "left out, because they are flagged __ignore__: 1 image" in listing.notes


def test_files_in_a_folder_of_their_own_and_parts_by_folder(tmp_path: Path) -> None:
    for part, name in (("train", "a"), ("val", "b")):
        write(tmp_path, f"labels/{part}/{name}", shape("cat", SQUARE), image=f"../../photos/{name}.png")
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(np.full((30, 40), ord(name), np.uint8)).save(tmp_path / "photos" / f"{name}.png")
    write(tmp_path, "labels/val/c", shape("cat", SQUARE), image="C:\\Users\\x\\c.jpg")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "photos" / "c.png")
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "photos" / "d.png")
    (tmp_path / "project.json").write_text('{"other": "tool"}')
    listing = list_records(tmp_path)
    assert [(record.id, record.split) for record in listing.records] == [
        ("photos/a", "train"),
        ("photos/b", "val"),
        ("photos/c", "val"),
    ]
    assert "left out, because no JSON file is about them: 1 image" in listing.notes
    assert "left out, because they are not labelme's: 1 JSON file" in listing.notes


def test_an_image_that_is_only_embedded_is_named_with_the_cure(tmp_path: Path) -> None:
    write(tmp_path, "a", shape("cat", SQUARE))
    write(tmp_path, "b", shape("cat", SQUARE), image="none.png", imageData=png(np.ones((30, 40))))
    write(tmp_path, "c", shape("cat", SQUARE), image="none.png")
    listing = list_records(tmp_path)
    assert {found.code: found.files for found in listing.findings} == {
        "unreadable-image": ("b.json",),
        "missing-image": ("none.png",),
    }
    assert re.search(
        r"1 file hold.* the image inside \(imageData\).*'labelme_export_json'", listing.findings[0].message
    )
    (tmp_path / "a.json").unlink()
    (tmp_path / "c.json").unlink()
    with pytest.raises(DataError, match="no image file lies beside; save the images as files"):
        list_records(tmp_path)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (shape("", SQUARE), "the label of a shape is a text, and a name is expected"),
        (shape("cat", None), "the points of a shape are null, and a list is expected"),
        (shape("cat", [[1, 2], [3, math.nan], [4, 5]]), "a corner's y is 'nan', and a number up to"),
        (shape("cat", [[1, 2, 3]] * 3), "two numbers are expected"),
        (shape("cat", [[1, 2]], "rectangle"), "a rectangle has 1 corners"),
        (shape("cat", [[1, 2]], "circle"), "a circle has 1 points, and its centre and a point on it"),
        (shape("cat", SQUARE, "star"), "a shape is of the kind 'star', which labelme does not have"),
        (shape("cat", [[0, 0], [1, 1]], "mask", mask="AAAA"), "a mask is no PNG in base64"),
        (
            shape("cat", [[0, 0], [1, 2]], "mask", mask=png(np.ones((2, 2)))),
            "a mask has 2 x 2 pixels, its corners 2 x 3",
        ),
        (3, "entry 0 of 'shapes' is a number, and an object"),
    ],
)
def test_one_broken_file_is_named_and_the_others_are_read(tmp_path: Path, entry: object, reason: str) -> None:
    write(tmp_path, "a", shape("cat", SQUARE))
    write(tmp_path, "b", entry)
    listing = list_records(tmp_path)
    (broken,) = listing.findings
    assert (broken.code, broken.files) == ("unreadable-mask", ("b.json",))
    assert re.search(rf"^1 annotation cannot be read \(b\.json: .*{reason}", broken.message)
    assert [record.id for record in listing.records] == ["a"]


def test_a_file_cut_short_is_named_too(tmp_path: Path) -> None:
    write(tmp_path, "a", shape("cat", SQUARE))
    write(tmp_path, "b", shape("cat", SQUARE))
    (tmp_path / "b.json").write_text("{")
    assert [(found.code, found.files) for found in list_records(tmp_path).findings] == [
        ("unreadable-mask", ("b.json",))
    ]
    (tmp_path / "a.json").unlink()
    with pytest.raises(DataError, match=r"holds no JSON files of labelme; expected NAME\.json beside NAME\.jpg"):
        list_records(tmp_path, "labelme")


def test_masks_in_files_come_before_the_annotations_they_were_made_from(tmp_path: Path) -> None:
    write(tmp_path, "images/a", shape("cat", SQUARE))
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "masks" / "a.png")
    assert list_records(tmp_path).layout == "mask folder, flat"
    assert list_records(tmp_path, "labelme").layout == "labelme"
