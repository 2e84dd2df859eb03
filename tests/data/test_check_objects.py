"""Faults planted one by one into the objects of six marked images, for segmentation and for detection."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data import opening
from segkit.data.findings import Severity
from segkit.data.formats._base import Listing
from segkit.data.opening import OpenDataset, open_dataset
from segkit.structures import Annotation, Box, ObjectAnnotation, Polygons, Record, TaskName

SIZE = (60, 80)
Change = Callable[[Annotation], Annotation]


def one_object(label: str, box: Box) -> ObjectAnnotation:
    left, top, right, bottom = box
    ring = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    return ObjectAnnotation(label, box, Polygons((ring,)))


@pytest.fixture
def marked(tmp_path: Path) -> list[Record]:
    """Six images with a cat and a dog each, marked in a file of its own (the first three) or in one for all."""
    records = []
    for i in range(6):
        file = tmp_path / f"{i}.png"
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(file)
        objects = (one_object("cat", (5, 5, 30, 40)), one_object("dog", (40, 10, 79.5, 60.4)))
        source = tmp_path / (f"{i}.xml" if i < 3 else "all.json")
        source.touch()
        part = ("train", "train", "val", "train", "val", "test")[i]
        records.append(Record(str(i), file, split=part, annotation=Annotation(objects, source, SIZE)))
    return records


@pytest.fixture
def opened(marked: list[Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., OpenDataset]:
    """`opened(change, index, task)`: the set with the annotation of one image changed."""

    def read(change: Change, index: int, task: TaskName) -> OpenDataset:
        annotation = marked[index].annotation
        assert annotation is not None
        marked[index] = replace(marked[index], annotation=change(annotation))
        listing = Listing(tmp_path, "marked by hand", task, tuple(marked))
        monkeypatch.setattr(opening, "list_records", lambda *_: listing)
        return open_dataset(tmp_path)

    return read


def with_box(*box: float) -> Change:
    """A further cat."""
    left, top, right, bottom = box
    cat = ObjectAnnotation("cat", (left, top, right, bottom))
    return lambda annotation: replace(annotation, objects=(*annotation.objects, cat))


def with_outline(*corners: tuple[float, float]) -> Change:
    cat = ObjectAnnotation("cat", None, Polygons((np.array(corners, np.float32),)))
    return lambda annotation: replace(annotation, objects=(*annotation.objects, cat))


def of_size(height: int, width: int) -> Change:
    return lambda annotation: replace(annotation, size=(height, width))


# What is planted, the code found, its message.
FAULTS: dict[str, tuple[Change, str, str]] = {
    "beyond the right": (
        with_box(50, 10, 82, 20),
        "annotation-outside",
        r"^1 object outside the image; correct .*, for example cat \(50, 10, 82, 20\) in [13].png",
    ),
    "above": (with_box(5, -1.5, 20, 20), "annotation-outside", r"cat \(5, -1.5, 20, 20\)"),
    "nowhere near": (with_box(500, 500, 600, 600), "annotation-outside", r"cat \(500, 500, 600, 600\)"),
    "no number": (with_box(float("nan"), 0, 5, 5), "annotation-outside", r"cat \(nan, 0, 5, 5\)"),
    "outline beyond": (
        with_outline((1, 1), (20, 1), (20, 62)),
        "annotation-outside",
        r"cat \(1, 1, 20, 62\)",
    ),
    "no width": (with_box(7, 7, 7, 20), "zero-area-box", r"^1 object without area; remove .* cat \(7, 7, 7, 20\)"),
    "turned": (with_box(20, 30, 10, 40), "zero-area-box", r"cat \(20, 30, 10, 40\)"),
    "a line": (with_box(0, 10, 80, 10.5), "absurd-box", r"^1 object more than 100 times as long as wide"),
    "another size": (
        of_size(80, 60),
        "size-mismatch",
        r"1 annotation of another size than the image, for example [13].png: image 80 x 60, annotation 60 x 80",
    ),
}


@pytest.mark.parametrize("task", ["segment", "detect"])
@pytest.mark.parametrize("index", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(opened: Callable[..., OpenDataset], fault: str, index: int, task: TaskName) -> None:
    change, code, message = FAULTS[fault]
    (found,) = opened(change, index, task).findings
    assert found.code == code
    assert found.files == ({1: "1.xml", 3: "3.png"}[index],)  # the one file for all images would say nothing
    assert found.records == (str(index),)
    assert re.search(message, found.message)
    assert (found.severity is Severity.ERROR) == (code in {"annotation-outside", "size-mismatch"})


@pytest.mark.parametrize("task", ["segment", "detect"])
def test_the_clean_set_has_no_findings(opened: Callable[..., OpenDataset], task: TaskName) -> None:
    assert opened(lambda annotation: annotation, 0, task).findings == ()


def test_a_pixel_beyond_the_border_is_rounding(opened: Callable[..., OpenDataset]) -> None:
    assert opened(with_box(-1, -1, 81, 61), 0, "detect").findings == ()


def test_shares_are_held_against_the_image_they_are_shares_of(opened: Callable[..., OpenDataset]) -> None:
    def relative(objects: tuple[ObjectAnnotation, ...]) -> Change:
        return lambda annotation: Annotation(objects, annotation.source, relative=True)

    halves = (one_object("cat", (0, 0, 0.5, 0.5)), one_object("dog", (0.5, 0.5, 1, 1)))
    assert opened(relative(halves), 0, "detect").findings == ()
    (found,) = opened(relative((*halves, one_object("dog", (0.5, 0.5, 1.1, 1)))), 1, "detect").findings
    assert found.code == "annotation-outside"
    assert "dog (40, 30, 88, 60) in 1.png" in found.message


def test_the_known_defects_of_real_boxes_are_found(datasets: Callable[[str], Path]) -> None:
    dataset = open_dataset(datasets("bccd"))
    found = {one.code: one for one in dataset.findings}
    assert set(found) == {"zero-area-box", "near-duplicate-across-splits"}
    assert found["zero-area-box"].files == ("Annotations/BloodImage_00338.xml", "Annotations/BloodImage_00343.xml")
    assert len(found["near-duplicate-across-splits"].files) == 2  # the same cells a moment later
    assert dataset.errors == ()
