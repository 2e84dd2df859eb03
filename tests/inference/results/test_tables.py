"""`to_table`: what is measured equals scikit-image's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.measure import label as number_parts
from skimage.measure import regionprops_table

from segkit.inference.results import (
    ClassificationResult,
    CombinedResult,
    DetectionResult,
    InstanceResult,
    SegmentationResult,
)
from segkit.structures import ClassMap

CELLS = ClassMap(("background", "cell", "debris"))


def objects(spacing: tuple[float, float] | None = None) -> InstanceResult:
    generator = np.random.default_rng(3)
    coarse = np.kron(generator.random((14, 18)) < 0.45, np.ones((5, 4), np.bool_))
    ids = number_parts(coarse, connectivity=1).astype(np.int32)
    labels = 1 + np.arange(ids.max()) % 2
    return InstanceResult(ids, labels, np.linspace(1, 0.5, ids.max()).astype(np.float32), CELLS, spacing)


def columns(rows: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_objects_are_measured_as_scikit_image_does() -> None:
    result = objects()
    image = np.random.default_rng(1).random((*result.ids.shape, 2)).astype(np.float32) * 1e-4
    found = columns(result.to_table(image))
    names = ("label", "area", "centroid", "bbox", "perimeter", "solidity", "intensity_mean")
    expected = regionprops_table(result.ids, image, properties=names)
    assert list(found) == [
        "id", "class", "score", "area", "centroid_x", "centroid_y", "left", "top", "right", "bottom", "perimeter",
        "solidity", "mean_intensity_0", "mean_intensity_1",
    ]  # fmt: skip
    pairs = {
        "id": "label", "area": "area", "left": "bbox-1", "top": "bbox-0", "right": "bbox-3", "bottom": "bbox-2",
        "perimeter": "perimeter", "solidity": "solidity", "mean_intensity_0": "intensity_mean-0",
        "mean_intensity_1": "intensity_mean-1",
    }  # fmt: skip
    for own, theirs in pairs.items():
        np.testing.assert_allclose(found[own], expected[theirs], rtol=1e-6, err_msg=own)
    np.testing.assert_allclose(found["centroid_x"], expected["centroid-1"] + 0.5, rtol=1e-6)
    np.testing.assert_allclose(found["centroid_y"], expected["centroid-0"] + 0.5, rtol=1e-6)
    assert found["class"].tolist() == [("cell", "debris")[place % 2] for place in range(len(result))]


def test_known_spacing_gives_millimetres() -> None:
    result = objects(spacing=(0.00025, 0.00025))
    found = columns(result.to_table())
    expected = regionprops_table(result.ids, properties=("area", "perimeter"), spacing=(0.00025, 0.00025))
    np.testing.assert_allclose(found["area_mm2"], expected["area"], rtol=1e-6)
    np.testing.assert_allclose(found["perimeter_mm"], expected["perimeter"], rtol=1e-6)


def test_pixels_that_are_not_square_have_no_perimeter_in_millimetres() -> None:
    found = columns(objects(spacing=(0.5, 0.3)).to_table())
    np.testing.assert_allclose(found["area_mm2"], found["area"] * 0.15, rtol=1e-6)
    assert set(found["perimeter_mm"]) == {None}


def test_an_object_that_others_hide_has_no_row() -> None:
    ids = np.array([[0, 3], [1, 3]], np.int32)
    result = InstanceResult(ids, np.array([1, 1, 2]), np.array([0.9, 0.8, 0.7], np.float32), CELLS)
    assert [(row["id"], row["class"]) for row in result.to_table()] == [(1, "cell"), (3, "debris")]
    assert [row["category_id"] for row in result.to_coco()] == [1, 2]


def test_boxes_classes_and_labels_have_their_columns() -> None:
    boxes = DetectionResult(
        np.array([[1, 2, 4.126, 8]], np.float32), np.array([1]), np.array([0.75], np.float32), CELLS, (10, 10)
    )
    assert boxes.to_table() == [
        {"class": "cell", "score": 0.75, "left": 1, "top": 2, "right": 4.13, "bottom": 8},
    ]
    mask = SegmentationResult(np.array([[0, 1], [1, 1]], np.uint8), CELLS)
    assert mask.to_table() == [
        {"class": "background", "pixels": 1, "share": 0.25},
        {"class": "cell", "pixels": 3, "share": 0.75},
        {"class": "debris", "pixels": 0, "share": 0},
    ]
    label = ClassificationResult(np.array([0.25, 0.75], np.float32), ("day", "night"))
    assert label.to_table() == [{"class": "night", "probability": 0.75}, {"class": "day", "probability": 0.25}]


def test_several_heads_have_a_table_each() -> None:
    result, image = objects(), np.ones((70, 72))
    combined = CombinedResult(instances=result, classify=ClassificationResult(np.ones(1, np.float32), ("day",)))
    assert list(combined.to_table()) == ["instances", "classify"]
    assert combined.to_table(image)["instances"] == result.to_table(image)
    assert combined.label == "day"
    assert combined.mask is None
    assert combined.boxes is None


@pytest.mark.parametrize("channels", [(), (1,)])
def test_one_channel_has_one_mean(channels: tuple[int, ...]) -> None:
    result = objects()
    row = result.to_table(np.full((*result.ids.shape, *channels), 7.0))[0]
    assert row["mean_intensity_0"] == 7
    assert "mean_intensity_1" not in row
