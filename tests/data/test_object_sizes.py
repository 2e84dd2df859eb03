from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from PIL import Image
from skimage.measure import label, regionprops

from segkit.data import object_sizes, opening
from segkit.data.config import DataConfig
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
    (areas,) = measure_objects(open_dataset(tmp_path)).areas.values()
    assert areas == [82.0, 82.0, 100.0, 100.0]
