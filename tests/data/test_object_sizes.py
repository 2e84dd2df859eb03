from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label, regionprops

from segkit.data import object_sizes, opening
from segkit.data.config import DataConfig
from segkit.data.description import describe_data, table
from segkit.data.formats._base import Listing
from segkit.data.image_io import read_mask
from segkit.data.object_sizes import measure_objects
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.structures import Annotation, ObjectAnnotation, Polygons, Record


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "cells"
    write_sample(folder, count=8, size=96)
    return folder


def test_areas_equal_those_of_scikit_image(cells: Path) -> None:
    found = measure_objects(open_dataset(cells))
    assert (found.measured, found.images) == (8, 8)
    for index, name in ((1, "round_cell"), (2, "spindle_cell")):
        masks = [read_mask(path) for path in sorted((cells / "masks").iterdir())]
        expected = [int(region.area) for mask in masks for region in regionprops(label(mask == index, connectivity=2))]
        assert list(found.areas[name]) == sorted(expected)
        assert found.summary()["classes"][name] == {
            "objects": len(expected), "smallest": min(expected), "median": median(expected), "largest": max(expected)
        }  # fmt: skip


def test_large_sets_are_measured_in_part(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(cells)
    monkeypatch.setattr(object_sizes, "MEASURED_MASKS", 3)
    assert measure_objects(dataset).measured == 3
    monkeypatch.setattr(object_sizes, "MEASURED_PIXELS", 2 * 96 * 96)
    assert measure_objects(dataset).measured == 2


def test_numbered_objects_are_measured_by_their_numbers(datasets: Callable[[str], Path]) -> None:
    root = datasets("nuclei_dsb2018")
    found = measure_objects(open_dataset(root, DataConfig(map={"other": 1}, channels="rgb")))
    (areas,) = found.areas.values()
    masks = [read_mask(path) for path in sorted((root / "labels").iterdir())]
    assert list(areas) == sorted(count for mask in masks for count in np.unique(mask[mask > 0], return_counts=True)[1])
    assert len(areas) == 4152  # as the set's own description counts them


def test_marked_objects_are_measured_as_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    square = Polygons((np.array([(0, 0), (10, 0), (10, 10), (0, 10)], np.float32),))
    objects = (
        ObjectAnnotation("cat", (0, 0, 10, 10), square),
        ObjectAnnotation("cat", (5, 5, 25.5, 9)),
        ObjectAnnotation("cat", (0, 0, 30, 30), ignored=True),
        ObjectAnnotation("dog", (3, 3, 3, 9)),
    )
    records = []
    for i, part in enumerate(("train", "val")):
        image = tmp_path / f"{i}.png"
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (32, 32), dtype=np.uint8)).save(image)
        records.append(
            Record(str(i), image, split=part, annotation=Annotation(objects, tmp_path / "all.json", (32, 32)))
        )
    monkeypatch.setattr(opening, "list_records", lambda *_: Listing(tmp_path, "marked", "detect", tuple(records)))
    found = measure_objects(open_dataset(tmp_path))
    assert found.areas == {"cat": [82.0, 82.0, 100.0, 100.0]}
    assert found.objects == {"cat": 4, "dog": 2}  # those without area are counted and have no size
    nothing = {"smallest": None, "median": None, "largest": None}
    assert found.summary()["classes"]["dog"] == {"objects": 2, **nothing}


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """Nine images of COCO with one box each, without outlines but in the first three."""
    images, annotations = [], []
    for i in range(9):
        pixels = np.random.default_rng(i).integers(0, 256, (40, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": 40, "width": 48})
        outline = [[2, 2, 12 + i, 2, 12 + i, 12, 2, 12]] if i < 3 else []
        box = [2, 2, 10 + i, 10]
        annotations.append({"id": i, "image_id": i, "category_id": 1, "bbox": box, "segmentation": outline})
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cell"}]}
    (tmp_path / "all.json").write_text(json.dumps(content))
    return tmp_path


def test_marked_objects_are_all_counted_and_boxes_all_measured(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(marked, task="detect")
    monkeypatch.setattr(object_sizes, "MEASURED_MASKS", 1)
    found = measure_objects(dataset)
    assert (found.measured, found.counted, found.images) == (7, 9, 9)  # six of boxes, and one of the three outlines
    assert found.objects == {"cell": 9}
    assert found.areas == {"cell": [100.0, 130.0, 140.0, 150.0, 160.0, 170.0, 180.0]}
    lines = table(describe_data(dataset, found))
    expected = "objects of cell  9 in 9 images: 100 to 180 pixels, median 150, measured in 7 of 9 images"
    assert expected in lines


def test_a_sample_of_masks_is_said_to_be_one(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(cells)
    whole = measure_objects(dataset)
    assert (whole.measured, whole.counted) == (8, 8)
    monkeypatch.setattr(object_sizes, "MEASURED_MASKS", 3)
    part = measure_objects(dataset)
    assert (part.measured, part.counted, part.images) == (3, 3, 8)
    assert 0 < part.objects["round_cell"] < whole.objects["round_cell"]
    (line,) = [line for line in table(describe_data(dataset, part)) if line.startswith("objects of round_cell")]
    assert re.fullmatch(r"objects of round_cell +\d+: .* pixels, median \d+, measured in 3 of 8 images", line)


def test_masks_too_large_for_the_memory_are_passed_over(cells: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = open_dataset(cells)
    monkeypatch.setattr(object_sizes, "LARGEST_MASK", 96 * 96 - 1)
    found = measure_objects(dataset)
    assert (found.measured, found.counted, found.images, found.areas) == (0, 0, 8, {})


def test_every_box_of_a_real_set_is_counted(datasets: Callable[[str], Path]) -> None:
    """BCCD's own numbers of cells, counted from its XML files without the package."""
    root = datasets("bccd")
    texts = [path.read_text() for path in sorted(root.rglob("Annotations/*.xml"))]
    expected = Counter(name for text in texts for name in re.findall(r"<name>(\w+)</name>", text))
    found = measure_objects(open_dataset(root, task="detect"))
    assert found.objects == expected
    assert (found.measured, found.counted) == (found.images, found.images)
