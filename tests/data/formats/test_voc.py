"""Pascal VOC: boxes, masks, numbered objects, lists of parts, and the way there and back."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.convert import convert_dataset
from segkit.data.formats._base import Listing, list_records
from segkit.data.formats._voc_listing import VOC_CLASSES
from segkit.data.formats.voc import Voc
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import DataError
from segkit.structures import IGNORE_INDEX, MaskFile, Record

Content = str | NDArray[np.uint8]
Edges = tuple[object, object, object, object]


def xml(*objects: tuple[str, Edges], size: tuple[int, int] = (6, 8), difficult: str = "0", filename: str = "") -> str:
    """An annotation file; size is (H, W)."""
    keys = ("xmin", "ymin", "xmax", "ymax")
    marked = "".join(
        f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>"
        + "".join(f"<{key}>{edge}</{key}>" for key, edge in zip(keys, edges, strict=True))
        + "</bndbox></object>"
        for name, edges in objects
    )
    stated = f"<size><width>{size[1]}</width><height>{size[0]}</height><depth>1</depth></size>"
    return f"<annotation><filename>{filename}</filename>{stated}{marked}</annotation>"


def make(root: Path, files: Mapping[str, Content]) -> Path:
    """Texts and images by their path."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (root / name).write_text(content)
        else:
            Image.fromarray(content).save(root / name)
    return root


def picture(seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (6, 8), np.uint8)


def boxes(record: Record) -> list[tuple[str, tuple[float, ...]]]:
    assert record.annotation is not None
    return [(one.label, one.box or ()) for one in record.annotation.objects]


def codes(listing: Listing) -> dict[str, tuple[str, ...]]:
    return {found.code: found.files for found in listing.findings}


def test_boxes_name_the_first_and_the_last_pixel_counted_from_one(tmp_path: Path) -> None:
    text = xml(("cat", (1, 1, 2, 3)), ("dog", (8, 2, 8, 6)), ("cat", ("2.5", "1.25", "4.0", " 5 ")))
    make(tmp_path, {"Annotations/a.xml": text, "JPEGImages/a.png": picture()})
    (record,) = list_records(tmp_path).records
    assert boxes(record) == [("cat", (0, 0, 2, 3)), ("dog", (7, 1, 8, 6)), ("cat", (1.5, 0.25, 4, 5))]
    assert record.annotation is not None
    assert record.annotation.size == (6, 8)


def test_a_click_has_no_area(tmp_path: Path) -> None:
    make(tmp_path, {"Annotations/a.xml": xml(("cat", (4, 3, 4, 3))), "JPEGImages/a.png": picture()})
    (record,) = list_records(tmp_path).records
    assert boxes(record) == [("cat", (3, 2, 3, 2))]


def test_a_box_that_begins_at_zero_says_that_edges_are_meant(tmp_path: Path) -> None:
    text = xml(("cat", (0, 2, 8, 6)), ("cat", (1, 1, 1, 1)))
    make(tmp_path, {"Annotations/a.xml": text, "JPEGImages/a.png": picture()})
    listing = list_records(tmp_path)
    assert boxes(listing.records[0]) == [("cat", (0, 2, 8, 6)), ("cat", (1, 1, 1, 1))]
    assert "boxes begin at 0: they are read as edges, not as VOC's pixels, which count from 1" in listing.notes


def test_difficult_objects_are_ignored_and_parts_of_objects_are_none(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part><pose>Left</pose>"
    text = xml(("person", (2, 2, 5, 5)), difficult="1").replace("<pose>", "").replace("</object>", part + "</object>")
    make(tmp_path, {"Annotations/a.xml": text, "JPEGImages/a.png": picture()})
    (record,) = list_records(tmp_path).records
    assert record.annotation is not None
    assert [(one.label, one.ignored) for one in record.annotation.objects] == [("person", True)]


def test_all_blood_cells_with_their_official_parts(datasets: Callable[[str], Path]) -> None:
    root = datasets("bccd")
    listing = list_records(root)
    assert (listing.layout, listing.task, listing.findings) == ("Pascal VOC", "detect", ())
    assert Counter(record.split for record in listing.records) == {"train": 205, "val": 87, "test": 72}
    marked = [(record, label, box) for record in listing.records for label, box in boxes(record)]
    assert Counter(label for _, label, _ in marked) == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    flat = [(record.id, box) for record, _, box in marked if box and (box[0] == box[2] or box[1] == box[3])]
    assert flat == [("BloodImage_00338", (503, 336, 503, 336)), ("BloodImage_00343", (180, 328, 180, 328))]
    # The same files, read by a regular expression.
    wanted = "".join(rf"\s*<{key}>(\d+)</{key}>" for key in ("xmin", "ymin", "xmax", "ymax"))
    for record in listing.records:
        found = re.findall(wanted, (root / "Annotations" / f"{record.id}.xml").read_text())
        theirs = [tuple(map(int, edges)) for edges in found]
        ours = [
            (box[0] + 1, box[1] + 1, box[2] + (box[0] == box[2]), box[3] + (box[0] == box[2]))
            for _, box in boxes(record)
            if box
        ]
        assert ours == theirs
        assert record.annotation is not None
        assert record.annotation.size == (480, 640)


def test_labelmes_export_of_boxes_agrees_with_its_own_json_to_the_pixel(datasets: Callable[[str], Path]) -> None:
    folder = datasets("annotation_formats") / "labelme" / "bbox_detection"
    listing = list_records(folder / "data_dataset_voc")
    assert [record.id for record in listing.records] == ["2011_000003", "2011_000006", "2011_000025"]
    for record in listing.records:
        shapes = json.loads((folder / "data_annotated" / f"{record.id}.json").read_text())["shapes"]
        expected = [np.ravel([np.min(s["points"], axis=0), np.max(s["points"], axis=0)]) for s in shapes]
        assert [label for label, _ in boxes(record)] == [shape["label"] for shape in shapes]
        np.testing.assert_allclose([box for _, box in boxes(record)], expected, atol=1)


def test_class_masks_keep_every_value_and_255_is_not_counted(datasets: Callable[[str], Path]) -> None:
    root = datasets("annotation_formats") / "labelme" / "instance_segmentation" / "data_dataset_voc"
    dataset = open_dataset(root)
    assert (dataset.task, dataset.listing.layout) == ("segment", "Pascal VOC")
    assert dataset.classes.names[15:17] == ("person", "potted plant")
    for record in dataset.records:
        stored = np.asarray(Image.open(root / "SegmentationClass" / f"{record.id}.png")).astype(int)
        mask = load_sample(record, dataset.classes).mask
        np.testing.assert_array_equal(mask, np.where(stored == 255, IGNORE_INDEX, stored))


def lists(folder: str, **parts: str) -> dict[str, str]:
    return {f"ImageSets/{folder}/{part}.txt": "\n".join(names) + "\n" for part, names in parts.items()}


def annotated(*names: str) -> dict[str, Content]:
    images: dict[str, Content] = {f"JPEGImages/{name}.png": picture(ord(name)) for name in names}
    return images | {f"Annotations/{name}.xml": xml(("cat", (1, 1, 4, 4))) for name in names}


def test_lists_name_the_parts_and_what_lacks_its_target(tmp_path: Path) -> None:
    pictures = {f"JPEGImages/{name}.png": picture(ord(name)) for name in "deft"}
    mask = np.zeros((6, 8), np.uint8)
    masks = {f"SegmentationClass/{name}.png": mask for name in "ab"}
    sets = lists("Main", train="ad", val="be", test="t") | lists("Segmentation", train="a", val="bd")
    make(tmp_path, {**annotated("a", "b"), **pictures, **masks, **sets})
    boxed, masked = list_records(tmp_path, task="detect"), list_records(tmp_path)
    assert {record.id: record.split for record in boxed.records} == {"a": "train", "b": "val"}
    assert codes(boxed) == {
        "unreadable-annotation": ("JPEGImages/d.png", "JPEGImages/e.png"),
        "unlabelled-split": (),
    }
    assert "left out, because nothing is marked in them: 1 image" in boxed.notes
    assert {record.id: record.split for record in masked.records} == {"a": "train", "b": "val"}
    assert codes(masked) == {"missing-mask": ("JPEGImages/d.png",)}
    assert "splits from ImageSets/Segmentation" in masked.notes


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"trainval": "ab"}, {"a": None, "b": None}),
        ({"trainval": "ab", "test": "c"}, {"a": "train", "b": "train", "c": "test"}),
        ({"trainval": "ab", "train": "a", "val": "b"}, {"a": "train", "b": "val", "c": None}),
    ],
)
def test_trainval_trains_where_nothing_parts_it(
    tmp_path: Path, parts: dict[str, str], expected: dict[str, str | None]
) -> None:
    make(tmp_path, {**annotated("a", "b", "c"), **lists("Main", **parts)})
    found = {record.id: record.split for record in list_records(tmp_path).records}
    assert found == {"c": None, **expected}


def test_lists_may_say_more_on_a_line_and_names_may_have_spaces(tmp_path: Path) -> None:
    make(tmp_path, {f"JPEGImages/{name}.png": picture(seed) for seed, name in enumerate(("my photo", "b"))})
    make(tmp_path, {f"Annotations/{name}.xml": xml(("cat", (1, 1, 4, 4))) for name in ("my photo", "b")})
    make(tmp_path, {"ImageSets/Main/train.txt": "my photo \n", "ImageSets/Main/val.txt": "b  1\n\n"})
    found = {record.id: record.split for record in list_records(tmp_path).records}
    assert found == {"my photo": "train", "b": "val"}


def test_names_in_lists_that_no_image_has_are_said(tmp_path: Path) -> None:
    make(tmp_path, {**annotated("a", "b"), **lists("Main", train="a", val="bz")})
    assert codes(list_records(tmp_path)) == {"unknown-split-id": ("z",)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation><object>", "it is no XML, or cut short"),
        ("<annotation><object><name>cat</name></object></annotation>", r"object 1 \(cat\) has no bndbox"),
        (xml(("", (1, 1, 2, 2))), "object 1 has no name"),
        (xml(("cat", (1, "x", 2, 2))), r"ymin of object 1 \(cat\) is 'x', and a number up to 16,777,216 is expected"),
        (xml(("cat", (1, 1, "nan", 2))), r"xmax of object 1 \(cat\) is 'nan'"),
        (xml(size=(6, -1)), "the image's size is stated as -1 x 6"),
        ("<other/>", "its outermost element is <other>; expected <annotation>"),
    ],
)
def test_one_broken_annotation_is_named_and_the_others_are_read(tmp_path: Path, text: str, reason: str) -> None:
    make(tmp_path, {**annotated("a", "b"), "Annotations/b.xml": text})
    listing = list_records(tmp_path, task="detect")
    assert [record.id for record in listing.records] == ["a"]
    (broken,) = listing.findings
    assert (broken.code, broken.files) == ("unreadable-annotation", ("Annotations/b.xml",))
    assert re.search(rf"^1 annotation cannot be read \(Annotations/b\.xml: {reason}", broken.message)


def test_an_annotation_without_its_image_is_named(tmp_path: Path) -> None:
    make(tmp_path, {**annotated("a"), "Annotations/b.xml": xml(), "Annotations/c.xml": xml(filename="other.jpg")})
    make(tmp_path, {"JPEGImages/other.png": picture()})
    listing = list_records(tmp_path)
    assert {record.id: record.image.name for record in listing.records} == {"a": "a.png", "c": "other.png"}
    assert codes(listing) == {"missing-image": ("Annotations/b.xml",)}
    for image in (tmp_path / "JPEGImages").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"name 3 images, and none is there, for example '.*'; put them into .*, or a"):
        list_records(tmp_path)


def test_a_set_without_any_object_is_an_error_of_its_own(tmp_path: Path) -> None:
    make(tmp_path, {f"JPEGImages/{name}.png": picture(seed) for seed, name in enumerate("abcd")})
    make(tmp_path, {f"Annotations/{name}.xml": xml() for name in "abcd"})
    dataset = open_dataset(tmp_path)
    assert [found.code for found in dataset.errors] == ["one-class-only"]
    assert dataset.task == "detect"


def masked(ids: Mapping[str, NDArray[np.uint8]], labels: Mapping[str, str] | None = None) -> dict[str, Content]:
    files: dict[str, Content] = {}
    for seed, (name, mask) in enumerate(ids.items()):
        files |= {f"JPEGImages/{name}.png": picture(seed), f"SegmentationClass/{name}.png": mask}
        if labels:
            files[f"Annotations/{name}.xml"] = xml((labels[name], (1, 1, 4, 4)))
    return files


def ids(*values: int) -> NDArray[np.uint8]:
    """A mask (6, 8) that begins with these values."""
    flat = np.zeros(48, np.uint8)
    flat[: len(values)] = values
    return flat.reshape(6, 8)


def test_vocs_classes_are_declared_where_the_annotations_fit_them_only(tmp_path: Path) -> None:
    plain = ids(8, 255)
    cases: dict[str, tuple[dict[str, Content], bool]] = {
        "fits": (masked({"a": plain}, {"a": "cat"}), True),
        "other names": (masked({"a": plain}, {"a": "erythrocyte"}), False),
        "other ids": (masked({"a": ids(1)}, {"a": "cat"}), False),
        "names of VOC's images": (masked({"2007_000032": plain}), True),
        "names of other images": (masked({"IMG_0001": plain}), False),
    }
    for case, (files, fits) in cases.items():
        declared = list_records(make(tmp_path / case, files)).declared
        assert (declared.names if declared else None) == (VOC_CLASSES if fits else None), case


def test_a_class_file_comes_before_vocs_classes(tmp_path: Path) -> None:
    files = masked({"2007_000032": ids(1)})
    root = make(tmp_path, {**files, "class_names.txt": "_background_\ncell\n"})
    dataset = open_dataset(root)
    assert (dataset.classes.names, dataset.classes.background) == (("_background_", "cell"), 0)


def object_mask() -> NDArray[np.uint8]:
    """Object 1 at rows 0-1, columns 0-2; object 2 at rows 3-5, columns 4-7; a pixel that is not counted."""
    numbers = np.zeros((6, 8), np.uint8)
    numbers[0:2, 0:3], numbers[3:6, 4:8], numbers[5, 0] = 1, 2, 255
    return numbers


def test_numbered_objects_are_those_of_the_annotation_file(tmp_path: Path) -> None:
    text = xml(("cat", (1, 1, 3, 2)), ("dog", (5, 4, 8, 6)))
    files: dict[str, Content] = {
        "JPEGImages/a.png": picture(),
        "SegmentationObject/a.png": object_mask(),
        "Annotations/a.xml": text,
    }
    make(tmp_path, {**files, "JPEGImages/b.png": picture(1), "SegmentationObject/b.png": object_mask()})
    make(tmp_path, {"Annotations/b.xml": text})
    listing = list_records(tmp_path)
    record = listing.records[0]
    assert (listing.task, record.mask) == ("segment", None)
    assert record.annotation is not None
    assert record.annotation.objects[1].region == MaskFile(tmp_path / "SegmentationObject" / "a.png", 2)
    dataset = open_dataset(tmp_path)
    mask = load_sample(dataset.records[0], dataset.classes).mask
    expected = np.where(object_mask() == 255, IGNORE_INDEX, object_mask().astype(int))
    assert dataset.classes.names == ("background", "cat", "dog")
    np.testing.assert_array_equal(mask, expected)


def test_numbers_that_are_not_the_files_order_are_numbers_only(tmp_path: Path) -> None:
    text = xml(("cat", (5, 4, 8, 6)), ("dog", (1, 1, 3, 2)))
    files: dict[str, Content] = {
        "JPEGImages/a.png": picture(),
        "SegmentationObject/a.png": object_mask(),
        "Annotations/a.xml": text,
    }
    listing = list_records(make(tmp_path, files))
    assert listing.numbered
    assert listing.records[0].mask == tmp_path / "SegmentationObject" / "a.png"
    assert listing.records[0].annotation is not None
    assert [one.region for one in listing.records[0].annotation.objects] == [None, None]


def test_masks_do_without_broken_annotations(tmp_path: Path) -> None:
    files = masked({"a": ids(1)}, {"a": "cell"})
    listing = list_records(make(tmp_path, {**files, "Annotations/a.xml": "<annotation>"}))
    assert (listing.task, len(listing.records), listing.findings) == ("segment", 1, ())
    assert "left out, because the masks do without them: 1 broken XML file" in listing.notes


def test_the_folder_above_will_do_unless_it_holds_several(tmp_path: Path) -> None:
    make(tmp_path / "VOCdevkit" / "VOC2007", annotated("a", "b"))
    assert [record.id for record in list_records(tmp_path).records] == ["a", "b"]
    make(tmp_path / "VOCdevkit" / "VOC2012", annotated("a"))
    with pytest.raises(DataError, match=r"holds several data sets of Pascal VOC's layout, .*VOC2007 and .*VOC2012; na"):
        list_records(tmp_path)


def test_xml_files_beside_the_images_or_in_a_folder_of_their_own(tmp_path: Path) -> None:
    beside: dict[str, Content] = {
        f"{part}/{name}.png": picture(ord(name)) for part, name in (("train", "a"), ("valid", "b"))
    }
    beside |= {f"{part}/{name}.xml": xml(("cat", (1, 1, 4, 4))) for part, name in (("train", "a"), ("valid", "b"))}
    make(tmp_path / "beside", beside)
    apart: dict[str, Content] = {
        "images/a.png": picture(),
        "images/b.png": picture(1),
        "annotations/a.xml": xml(("cat", (1, 1, 4, 4))),
    }
    make(tmp_path / "apart", apart)
    listing = list_records(tmp_path / "beside")
    assert (listing.layout, listing.task) == ("Pascal VOC annotations", "detect")
    assert [(record.id, record.split) for record in listing.records] == [("train/a", "train"), ("valid/b", "val")]
    listing = list_records(tmp_path / "apart")
    assert [record.id for record in listing.records] == ["a"]
    assert listing.notes == ("left out, because nothing is marked in them: 1 image",)


def test_two_annotation_files_of_one_image_are_named(tmp_path: Path) -> None:
    text = xml(("cat", (1, 1, 4, 4)))
    make(tmp_path, {"a.png": picture(), "b.png": picture(1), "a.xml": text, "b.xml": text, "old/a.xml": text})
    (found,) = list_records(tmp_path).findings
    assert (found.code, found.files, found.records) == ("duplicate-id", ("old/a.xml",), ("a",))


def test_folders_without_masks_or_boxes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not laid out as Pascal VOC; expected JPEGImages/ with SegmentationClass/"):
        list_records(tmp_path, "voc")
    make(tmp_path, {"JPEGImages/a.png": picture(), "Annotations/a.xml": "<annotation>"})
    with pytest.raises(DataError, match=r"no annotations that can be read; Annotations/a\.xml: it is no XML"):
        list_records(tmp_path)


def texts(root: Path, pattern: str) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.glob(pattern))}


def test_boxes_come_back_from_a_conversion_to_the_last_edge(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    source, root = datasets("bccd"), tmp_path / "bccd"
    some = ("BloodImage_00338", "BloodImage_00343", *(f"BloodImage_{number:05}" for number in (0, 1, 3, 4, 7, 11)))
    for name in some:
        for folder, suffix in (("JPEGImages", ".jpg"), ("Annotations", ".xml")):
            (root / folder).mkdir(parents=True, exist_ok=True)
            shutil.copy(source / folder / f"{name}{suffix}", root / folder)
    for part in ("train", "val", "test"):
        names = (source / "ImageSets" / "Main" / f"{part}.txt").read_text().split()
        make(root, {f"ImageSets/Main/{part}.txt": "".join(f"{name}\n" for name in names if name in some)})
    first = open_dataset(root)
    assert convert_dataset(first, tmp_path / "out", "voc").losses == ()
    back = open_dataset(tmp_path / "out")
    assert [(r.id, r.split, boxes(r)) for r in back.records] == [(r.id, r.split, boxes(r)) for r in first.records]
    assert back.classes.names == first.classes.names
    written = texts(tmp_path / "out", "ImageSets/Main/*.txt")
    assert written.pop("ImageSets/Main/trainval.txt").split() == [r.id for r in first.records if r.split != "test"]
    assert written == texts(root, "ImageSets/Main/*.txt")
    for name in some:  # the two without area too, as they stood in the file
        wanted = r"<(xmin|ymin|xmax|ymax)>(\d+)</"
        theirs, ours = (
            re.findall(wanted, (f / "Annotations" / f"{name}.xml").read_text()) for f in (root, tmp_path / "out")
        )
        assert ours == theirs
        assert (root / "JPEGImages" / f"{name}.jpg").read_bytes() == (
            tmp_path / "out" / "JPEGImages" / f"{name}.jpg"
        ).read_bytes()


def test_masks_objects_and_parts_come_back_from_a_conversion(tmp_path: Path) -> None:
    Voc().example(tmp_path / "voc")
    first = open_dataset(tmp_path / "voc")
    assert convert_dataset(first, tmp_path / "out", "voc").losses == ()
    for folder in ("SegmentationClass", "SegmentationObject"):
        for path in sorted((tmp_path / "voc" / folder).iterdir()):
            stored, written = (
                np.asarray(Image.open(root / folder / path.name)) for root in (tmp_path / "voc", tmp_path / "out")
            )
            np.testing.assert_array_equal(written, stored)
            assert Image.open(tmp_path / "out" / folder / path.name).mode == "P"
    back = open_dataset(tmp_path / "out")
    assert back.classes == first.classes
    assert [(r.id, r.split, boxes(r)) for r in back.records] == [(r.id, r.split, boxes(r)) for r in first.records]


def test_what_voc_cannot_hold_is_said(tmp_path: Path) -> None:
    text = xml(("cat", (3, 3, 3, 4)), ("cat", (2, 2, 20, 4)), ("dog", (2, 1, "4.5", 4)))
    make(tmp_path / "in", {**annotated("a", "b", "c"), "Annotations/a.xml": text})
    dataset = open_dataset(tmp_path / "in", DataConfig(allow=("annotation-outside",)))
    losses = convert_dataset(dataset, tmp_path / "out", "voc").losses
    assert losses == ("boxes that reach beyond their image are cut off there: 1",)
    (record,) = [one for one in list_records(tmp_path / "out").records if one.id == "a"]
    assert boxes(record) == [("cat", (2, 2, 3, 4)), ("cat", (1, 1, 8, 4)), ("dog", (1, 0, 4.5, 4))]
    assert record.split is None
