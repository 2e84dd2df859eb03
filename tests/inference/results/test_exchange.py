"""`to_coco` and `to_geojson`: what pycocotools and a filling of the rings read back."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.path import Path
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segkit.inference.results import CombinedResult, DetectionResult, InstanceResult, SegmentationResult
from segkit.structures import ClassMap

CELLS = ClassMap(("background", "cell", "debris"), ids=(0, 7, 9))
SIZE = (40, 50)


def rings() -> NDArray[np.int32]:
    """A ring around a disc, and a ring in two parts that touches the border."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    radius = np.hypot(rows - 15, columns - 14)
    ids = np.zeros(SIZE, np.int32)
    ids[(radius < 13) & (radius > 8)] = 1
    ids[radius < 4] = 2
    ids[30:, 30:], ids[32:38, 32:48] = 3, 0
    ids[30:, 36:38] = 0
    return ids


def objects() -> InstanceResult:
    return InstanceResult(rings(), np.array([1, 2, 1]), np.array([0.9, 0.8, 0.7], np.float32), CELLS)


def mask(probabilities: NDArray[np.float32] | None = None) -> SegmentationResult:
    ids = np.array([0, 7, 9, 7], np.uint8)[rings()]
    return SegmentationResult(ids, CELLS, probabilities)


def boxes() -> DetectionResult:
    corners = np.array([[1.5, 2, 11.5, 7], [0, 0, 50, 40]], np.float32)
    return DetectionResult(corners, np.array([2, 1]), np.array([0.9, 0.25], np.float32), CELLS, SIZE)


def loaded(annotations: list[dict[str, Any]]) -> COCO:
    """By pycocotools, as results of a detector, through JSON."""
    reference = COCO()
    reference.dataset = {
        "info": {},
        "images": [{"id": 5, "width": SIZE[1], "height": SIZE[0]}],
        "categories": [{"id": id_, "name": name} for id_, name in zip(CELLS.ids, CELLS.names, strict=True)],
        "annotations": [],
    }
    reference.createIndex()
    return reference.loadRes(json.loads(json.dumps(annotations)))


def test_pycocotools_reads_objects() -> None:
    found = loaded(objects().to_coco(image_id=5))
    annotations = found.loadAnns(found.getAnnIds(imgIds=5))
    assert [one["category_id"] for one in annotations] == [7, 9, 7]
    assert [one["score"] for one in annotations] == [0.9, 0.8, 0.7]
    for number, one in enumerate(objects().to_coco(image_id=5), start=1):
        np.testing.assert_array_equal(found.annToMask(one), rings() == number)
        encoded = coco_mask.encode(np.asfortranarray(rings() == number, np.uint8))
        assert one["segmentation"]["counts"] == encoded["counts"].decode()
        assert one["area"] == coco_mask.area(encoded)
        assert one["bbox"] == coco_mask.toBbox(encoded).tolist()


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 3, (9, 7)).astype(np.int32)
    result = InstanceResult(ids, np.array([1, 1]), np.ones(2, np.float32), CELLS)
    for number, one in enumerate(result.to_coco(), start=1):
        encoded = coco_mask.encode(np.asfortranarray(ids == number, np.uint8))
        assert one["segmentation"] == {"size": [9, 7], "counts": encoded["counts"].decode()}


def test_pycocotools_reads_masks_and_boxes() -> None:
    for class_id, one in zip((7, 9), mask().to_coco(image_id=5), strict=True):
        assert one["category_id"] == class_id
        np.testing.assert_array_equal(loaded([one | {"score": 1.0}]).annToMask(one), mask().mask == class_id)
    found = loaded(boxes().to_coco(image_id=5))
    annotations = found.loadAnns(found.getAnnIds())
    assert [one["bbox"] for one in annotations] == [[1.5, 2, 10, 5], [0, 0, 50, 40]]
    assert [one["area"] for one in annotations] == [50, 2000]
    assert [one["category_id"] for one in annotations] == [9, 7]


def test_ids_of_annotations_go_on_from_head_to_head() -> None:
    combined = CombinedResult(mask(), objects(), boxes(), None)
    assert [one["id"] for one in combined.to_coco(image_id=5, first_id=11)] == [11, 12, 13, 14, 15]
    assert len(CombinedResult(segment=mask()).to_coco()) == 2


def filled(geometry: dict[str, Any]) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    points = np.stack([columns.ravel(), rows.ravel()], axis=1)
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    inside = np.zeros(len(points), np.bool_)
    for polygon in polygons:
        for ring in polygon:
            assert ring[0] == ring[-1]
            inside ^= Path(ring).contains_points(points)
    return inside.reshape(SIZE)


def signed_area(ring: list[list[float]]) -> float:
    """Above 0 where a ring is counter-clockwise by its numbers, as RFC 7946, 3.1.6, wants of exteriors."""
    return sum(x * b - a * y for (x, y), (a, b) in pairwise(ring)) / 2


def test_rings_make_the_round_trip() -> None:
    document = json.loads(json.dumps(objects().to_geojson()))
    assert document["type"] == "FeatureCollection"
    geometries = [one["geometry"] for one in document["features"]]
    assert [(one["type"], len(one["coordinates"])) for one in geometries] == [
        ("Polygon", 2), ("Polygon", 1), ("MultiPolygon", 2)
    ]  # fmt: skip
    for number, geometry in enumerate(geometries, start=1):
        np.testing.assert_array_equal(filled(geometry), rings() == number)
    outer, hole = geometries[0]["coordinates"]
    assert signed_area(outer) > 0 > signed_area(hole)
    assert signed_area(outer) + signed_area(hole) == (rings() == 1).sum()
    assert document["features"][1]["properties"] == {
        "id": 2, "class": "debris", "score": 0.8, "area": int((rings() == 2).sum())
    }  # fmt: skip


def test_masks_have_a_feature_per_part() -> None:
    features = mask().to_geojson()["features"]
    assert [one["properties"]["class"] for one in features] == ["cell", "cell", "cell", "debris"]
    assert all(one["geometry"]["type"] == "Polygon" for one in features)
    for name, class_id in (("cell", 7), ("debris", 9)):
        together = [filled(one["geometry"]) for one in features if one["properties"]["class"] == name]
        np.testing.assert_array_equal(np.any(together, axis=0), mask().mask == class_id)
    assert [one["properties"]["area"] for one in features] == [int(filled(one["geometry"]).sum()) for one in features]
    assert "score" not in features[0]["properties"]


def test_parts_of_masks_have_the_mean_probability_of_their_class() -> None:
    probabilities = np.random.default_rng(0).random((3, *SIZE)).astype(np.float32)
    for one in mask(probabilities).to_geojson()["features"]:
        index = CELLS.names.index(one["properties"]["class"])
        assert one["properties"]["score"] == pytest.approx(
            probabilities[index][filled(one["geometry"])].mean(), abs=1e-4
        )


def test_every_class_counts_where_none_is_background() -> None:
    classes = ClassMap(("sky", "road"), background=None)
    result = SegmentationResult(np.array([[0, 0], [1, 1]], np.uint8), classes)
    assert [one["properties"] for one in result.to_geojson()["features"]] == [
        {"class": "sky", "area": 2}, {"class": "road", "area": 2}
    ]  # fmt: skip
    assert [one["category_id"] for one in result.to_coco()] == [0, 1]


def test_boxes_are_polygons_counter_clockwise() -> None:
    first = boxes().to_geojson()["features"][0]
    (ring,) = first["geometry"]["coordinates"]
    assert ring == [[1.5, 2], [11.5, 2], [11.5, 7], [1.5, 7], [1.5, 2]]
    assert signed_area(ring) == 50
    assert first["properties"] == {"class": "debris", "score": 0.9, "area": 50}


def test_features_of_several_heads_are_joined() -> None:
    combined = CombinedResult(mask(), objects(), boxes(), None)
    assert len(combined.to_geojson()["features"]) == 4 + 3 + 2
