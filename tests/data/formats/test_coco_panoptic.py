"""COCO's panoptic form: areas as its JSON states them, masks as its authors' semantic PNG."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.drawing import regions
from segkit.data.formats._base import FORMATS, Listing, list_records
from segkit.data.formats.coco_panoptic import CocoPanoptic
from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.errors import SegkitError, UnreadableFileError
from tests.data.formats.mutations import mutations

JSON = Path("annotations") / "panoptic_train.json"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    CocoPanoptic().example(tmp_path / "set")
    return tmp_path / "set"


def change(path: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def broken(listing: Listing) -> tuple[tuple[str, ...], str]:
    (found,) = (found for found in listing.findings if found.code == "unreadable-annotation")
    return found.files, found.message


@pytest.mark.parametrize(
    ("archive", "where", "json_files"),
    [
        ("coco_mini", ".", ["annotations/panoptic_train2017.json", "annotations/panoptic_val2017.json"]),
        ("annotation_formats", "coco_panoptic", ["panoptic_examples.json"]),
    ],
)
def test_every_segment_has_the_area_its_json_states(
    datasets: Callable[[str], Path], archive: str, where: str, json_files: list[str]
) -> None:
    root = datasets(archive) / where
    records = {record.id: record for record in list_records(root, "coco-panoptic").records}
    for json_file in json_files:
        content = json.loads((root / json_file).read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        files = {image["id"]: Path(image["file_name"]).stem for image in content["images"]}
        for stated in content["annotations"]:
            annotation = records.pop(files[stated["image_id"]]).annotation
            assert annotation is not None
            assert annotation.size is not None
            drawn = [
                (one.label, one.ignored, int(pixels.sum())) for one, pixels in regions(annotation, annotation.size)
            ]
            assert drawn == [(names[s["category_id"]], bool(s["iscrowd"]), s["area"]) for s in stated["segments_info"]]
    assert records == {}


def test_masks_are_those_of_the_semantic_files(datasets: Callable[[str], Path]) -> None:
    root = datasets("coco_mini")
    dataset = open_dataset(root, DataConfig(format="coco-panoptic", channels="rgb"))
    assert {found.code for found in dataset.errors} == {"class-without-training-pixels"}
    for record in dataset.records[::10]:
        mask = load_sample(record, dataset.classes).mask
        assert mask is not None
        expected = np.array(Image.open(root / "semantic" / record.image.parent.name / f"{record.id}.png"))
        counted = mask >= 0  # the semantic files keep crowds
        np.testing.assert_array_equal(dataset.classes.indices_to_ids(mask[counted]), expected[counted])


def test_the_example_is_read_as_it_was_made(example: Path) -> None:
    dataset = open_dataset(example)
    assert dataset.listing.layout == "COCO panoptic, annotations/panoptic_train.json + annotations/panoptic_val.json"
    assert dict(zip(dataset.classes.ids, dataset.classes.names, strict=True)) == {
        0: "background",
        1: "square",
        3: "disc",
    }
    stated = {record.id: record.split for record in dataset.listing.records}
    assert stated == {"0": "train", "1": "train", "2": "train", "3": "val"}
    mask = load_sample(next(record for record in dataset.records if record.id == "0"), dataset.classes).mask
    assert mask is not None
    assert dataset.classes.indices_to_ids(mask)[[0, 5, 22], [0, 5, 22]].tolist() == [0, 1, 3]


def test_instances_come_first_where_both_lie_in_one_folder(datasets: Callable[[str], Path]) -> None:
    recognising = [name for name in FORMATS if FORMATS.get(name)().recognises(datasets("coco_mini"))]
    assert min(recognising, key=lambda name: FORMATS.get(name).rank) == "coco"
    assert "coco-panoptic" in recognising


def test_png_that_hold_no_segment_are_refused(example: Path) -> None:
    folder = example / "annotations" / "panoptic_train"
    for path in folder.iterdir():
        pixels = np.array(Image.open(path))
        Image.fromarray(pixels[..., ::-1].copy()).save(path)
    with pytest.raises(UnreadableFileError, match=r"0\.png: it holds none of the segments of panoptic_train\.json"):
        list_records(example)


def test_a_missing_png_and_a_missing_annotation_cost_their_image_alone(example: Path) -> None:
    (example / "annotations" / "panoptic_train" / "1.png").unlink()
    change(example / JSON, lambda content: content["annotations"].pop(0))
    files, message = broken(list_records(example))
    assert files == ("train/0.png", "train/1.png")
    assert "train/0.png: no entry of 'annotations' is about it" in message
    assert "train/1.png: there is no 1.png in a folder called panoptic_train/ beside panoptic_train.json" in message


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("id", 0, "a square with the id 0, which no colour has"),
        ("id", 2**24, "with the id 16777216, which no colour has"),
        ("category_id", 2, "an object of the category 2, which is not among the categories"),
        ("bbox", "all", "a bbox 'all', which is not"),
    ],
)
def test_broken_segments_are_named(example: Path, key: str, value: object, reason: str) -> None:
    change(example / JSON, lambda content: content["annotations"][0]["segments_info"][0].update({key: value}))
    files, message = broken(list_records(example))
    assert files == ("train/0.png",)
    assert reason in message


def test_500_mutations_give_an_error_that_names_the_file_or_the_images_left(example: Path) -> None:
    path = example / JSON
    (example / "annotations" / "panoptic_val.json").unlink()
    errors, listed = [], 0
    for damaged in mutations(path.read_bytes(), 500):
        path.write_bytes(damaged)
        try:
            listing = CocoPanoptic().list(example)
        except SegkitError as error:
            errors.append(str(error))
        else:
            listed += 1
            assert {record.id for record in listing.records} <= {"0", "1", "2"}
    assert min(len(errors), listed) > 50
    unnamed = [error for error in errors if "panoptic_train" not in error]
    assert all("no JSON file with COCO's lists" in error for error in unnamed)
