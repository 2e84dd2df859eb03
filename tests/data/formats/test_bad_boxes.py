"""Bad boxes, each planted into the same set in COCO's, Pascal VOC's and YOLO's form: found, named, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segkit.data.findings import Finding
from segkit.data.opening import open_dataset
from segkit.structures import Box

WIDTH, HEIGHT = 30, 20
CLASSES = ("cat", "dog")
Marks = dict[str, list[tuple[str, Box]]]
"""Name of an image -> its objects."""


def clean() -> Marks:
    return {str(i): [("cat", (2, 3, 12 + i, 9)), ("dog", (14, 6, 30, 20))] for i in range(6)}


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True)
    for i in range(6):
        pixels = np.random.default_rng(i).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def coco(marks: Marks) -> dict[str, Any]:
    images = [{"id": int(name), "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT} for name in marks]
    return {
        "images": images,
        "annotations": [
            {
                "id": 10 * int(name) + number,
                "image_id": int(name),
                "category_id": number_of(label),
                "bbox": corner_and_size(box),
            }
            for name, objects in marks.items()
            for number, (label, box) in enumerate(objects)
        ],
        "categories": [{"id": number, "name": label} for number, label in enumerate(CLASSES)],
    }


def number_of(label: str) -> int:
    return CLASSES.index(label) if label in CLASSES else 9


def corner_and_size(box: Box) -> list[float]:
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


def write_coco(root: Path, marks: Marks) -> None:
    write_images(root / "images")
    (root / "boxes.json").write_text(json.dumps(coco(marks)))


def write_voc(root: Path, marks: Marks) -> None:
    write_images(root / "JPEGImages")
    (root / "Annotations").mkdir()
    for name, objects in marks.items():
        written = "".join(
            f"<object><name>{label}</name><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
            f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
            for label, (left, top, right, bottom) in objects
        )
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        text = f"<annotation><filename>{name}.png</filename>{size}{written}</annotation>"
        (root / "Annotations" / f"{name}.xml").write_text(text)


def write_yolo(root: Path, marks: Marks) -> None:
    write_images(root / "images")
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    for name, objects in marks.items():
        lines = (
            f"{number_of(label)} {(left + right) / 2 / WIDTH} {(top + bottom) / 2 / HEIGHT} "
            f"{(right - left) / WIDTH} {(bottom - top) / HEIGHT}\n"
            for label, (left, top, right, bottom) in objects
        )
        (root / "labels" / f"{name}.txt").write_text("".join(lines))


def with_box(label: str, box: Box) -> Callable[[Marks], None]:
    return lambda marks: marks["3"].append((label, box))


WRITE: dict[str, Callable[[Path, Marks], None]] = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}
OUTSIDE, FLAT, ALIEN = with_box("cat", (20, 5, 44, 12)), with_box("dog", (7, 5, 7, 12)), with_box("owl", (7, 5, 9, 12))
FAULTS: dict[tuple[str, str], tuple[Callable[[Marks], None], str, str, str]] = {
    ("outside", "coco"): (OUTSIDE, "annotation-outside", "images/3.png", r"cat \(20, 5, 44, 12\) in images/3.png"),
    ("outside", "voc"): (OUTSIDE, "annotation-outside", "Annotations/3.xml", r"cat \(20, 5, 44, 12\)"),
    ("outside", "yolo"): (OUTSIDE, "annotation-outside", "labels/3.txt", r"cat \(20, 5, 44, 12\)"),
    ("no area", "coco"): (FLAT, "zero-area-box", "images/3.png", r"dog \(7, 5, 7, 12\) in images/3.png"),
    ("no area", "voc"): (FLAT, "zero-area-box", "Annotations/3.xml", r"dog \(7, 5, 7, 12\)"),
    ("no area", "yolo"): (FLAT, "zero-area-box", "labels/3.txt", r"dog \(7, 5, 7, 12\)"),
    ("no class", "coco"): (ALIEN, "unreadable-annotation", "images/3.png", "of the category 9, which is not among"),
    ("no class", "yolo"): (
        ALIEN,
        "unreadable-annotation",
        "labels/3.txt",
        "is of the class 9, which names does not list",
    ),
}


def findings(root: Path) -> tuple[Finding, ...]:
    return open_dataset(root, task="detect").findings


@pytest.mark.parametrize(("fault", "layout"), FAULTS)
def test_a_bad_box_is_named(tmp_path: Path, fault: str, layout: str) -> None:
    plant, code, file, message = FAULTS[fault, layout]
    marks = clean()
    plant(marks)
    WRITE[layout](tmp_path, marks)
    (found,) = findings(tmp_path)
    assert (found.code, found.files) == (code, (file,))
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found.message)


@pytest.mark.parametrize("layout", WRITE)
def test_an_image_without_an_object_is_valid(tmp_path: Path, layout: str) -> None:
    WRITE[layout](tmp_path, clean() | {"3": []})
    dataset = open_dataset(tmp_path, task="detect")
    assert dataset.findings == ()
    assert [len(record.annotation.objects) for record in dataset.records if record.annotation] == [2, 2, 2, 0, 2, 2]


@pytest.mark.parametrize(
    ("layout", "code", "file"),
    [
        ("coco", "missing-image", "3.png"),
        ("voc", "missing-image", "Annotations/3.xml"),
        ("yolo", "orphan-mask", "labels/3.txt"),
    ],
)
def test_an_annotation_without_its_image_is_named(tmp_path: Path, layout: str, code: str, file: str) -> None:
    WRITE[layout](tmp_path, clean())
    next(tmp_path.rglob("3.png")).unlink()
    (found,) = findings(tmp_path)
    assert (found.code, found.files) == (code, (file,))


def change_coco(root: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    write_images(root / "images")
    content = coco(clean())
    change(content)
    (root / "boxes.json").write_text(json.dumps(content))
    return root


def test_ids_of_several_annotations_are_said_and_all_are_read(tmp_path: Path) -> None:
    dataset = open_dataset(change_coco(tmp_path, lambda content: content["annotations"][3].update(id=10)))
    (found,) = dataset.findings
    assert (found.code, found.files) == ("repeated-annotation-id", ("boxes.json",))
    assert found.message.startswith("boxes.json: 1 id of more than one annotation (10); all are read")
    assert sum(len(record.annotation.objects) for record in dataset.records if record.annotation) == 12


def test_run_lengths_of_another_size_are_named(tmp_path: Path) -> None:
    """By what is drawn, and where boxes are wanted by what they state."""
    lengths = {"size": [HEIGHT, WIDTH + 1], "counts": [100, 20, HEIGHT * (WIDTH + 1) - 120]}
    root = change_coco(tmp_path, lambda content: content["annotations"][7].update(segmentation=lengths))
    (found,) = [one for one in findings(root) if one.code != "object-without-outline"]
    assert (found.code, found.files) == ("size-mismatch", ("images/3.png",))
    drawn = {one.code: one for one in open_dataset(root, task="segment").errors}
    assert drawn["unreadable-mask"].files == ("images/3.png",)
