"""Boxes and objects from networks whose answers are known: whole, in tiles, and beside other heads in one pass."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.errors import UsageError
from segkit.inference.predictor import Predictor
from segkit.inference.results import CombinedResult, DetectionResult
from segkit.pipeline import ObjectRule, Pipeline
from segkit.structures import ClassMap, TaskName

BOXES = ClassMap(("dim", "bright"), background=None)
OBJECTS = ClassMap(("background", "cell"))


class Squares:
    """Finds bright rectangles as a perfect network would: a place per rectangle it sees, and maps of their pixels."""

    description = "squares"

    def __init__(self) -> None:
        self.calls = 0

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.calls += 1
        image = images[0, 0]
        count, parts, statistics, _ = cv2.connectedComponentsWithStats((image > 0.1).astype(np.uint8), connectivity=4)
        places = 1 + count
        logits = np.full((places, 2), -20.0, np.float32)
        boxes = np.zeros((places, 4), np.float32)
        for part in range(1, count):
            left, top, width, height, _ = statistics[part]
            boxes[part] = left, top, left + width, top + height
            logits[part, int(image[parts == part].max() > 0.7)] = 20
        inside = (image > 0.1) & (cv2.erode((image > 0.1).astype(np.uint8), np.ones((3, 3))) > 0)
        maps = np.stack([image <= 0.1, inside, (image > 0.1) & ~inside]).astype(np.float32) * 20
        return {
            "segment": np.stack([image <= 0.1, image > 0.1])[None].astype(np.float32),
            "instances": maps[None],
            "detect": logits[None],
            "detect/boxes": boxes[None],
            "detect/centerness": np.full((1, places), 20, np.float32),
            "classify": np.array([[0.0, 1.0]], np.float32),
        }


def predictor(tasks: tuple[TaskName, ...], **settings: Any) -> Predictor:
    heads: dict[TaskName, ClassMap] = {
        "segment": OBJECTS, "instances": OBJECTS, "detect": BOXES, "classify": ClassMap(("a", "b"), background=None)
    }  # fmt: skip
    pipeline = Pipeline(channels=1, mean=(0.0,), std=(1.0,), **settings)
    return Predictor(Squares(), pipeline, {task: heads[task] for task in tasks})


def scene(height: int = 300, width: int = 420, seed: int = 0) -> NDArray[np.uint8]:
    """Rectangles that do not touch, up to 40 pixels long, one in each field of a grid."""
    generator, image = np.random.default_rng(seed), np.zeros((height, width, 1), np.uint8)
    for top in range(0, height - 48, 50):
        for left in range(0, width - 48, 50):
            sides = generator.integers(8, 40, 2)
            shift = generator.integers(1, 8, 2)
            image[top + shift[0] :, left + shift[1] :][: sides[0], : sides[1]] = generator.choice([120, 240])
    return image


def by_place(found: DetectionResult) -> DetectionResult:
    """Boxes from left to right and top to bottom: of equal scores the order is anybody's."""
    order = np.lexsort(np.rint(found.corners).T[::-1])
    return DetectionResult(found.corners[order], found.labels[order], found.scores[order], found.classes, found.size)


def test_boxes_by_hand() -> None:
    image = np.zeros((60, 80, 1), np.uint8)
    image[10:20, 30:50], image[40:60, 0:8] = 240, 120
    found = predictor(("detect",), stride_multiple=32, smallest=96).detect(image)
    order = np.argsort(found.corners[:, 0])
    assert found.corners[order].tolist() == [[0, 40, 8, 60], [30, 10, 50, 20]]
    assert [found.names[place] for place in order] == ["dim", "bright"]
    assert (found.scores > 0.99).all()
    assert found.size == (60, 80)


@pytest.mark.parametrize("seed", range(4))
def test_tiles_give_the_boxes_and_objects_of_the_whole(seed: int) -> None:
    image = scene(seed=seed)
    tasks: tuple[TaskName, ...] = ("instances", "detect")
    whole = predictor(tasks).predict(image)
    tiled = predictor(tasks, whole_limit=1, tile=160, overlap=0.4, stride_multiple=16).predict(image)
    assert isinstance(whole, CombinedResult)
    assert isinstance(tiled, CombinedResult)
    assert whole.detect is not None
    assert tiled.detect is not None
    assert sorted(whole.detect.corners.tolist()) == sorted(tiled.detect.corners.tolist())
    assert len(whole.detect) == cv2.connectedComponents((image[..., 0] > 0).astype(np.uint8))[0] - 1
    assert whole.instances is not None
    assert tiled.instances is not None
    np.testing.assert_array_equal(whole.instances.ids, tiled.instances.ids)


def test_several_heads_take_one_pass_and_give_typed_results() -> None:
    one = predictor(("segment", "instances", "detect", "classify"))
    result = one.predict(scene())
    assert isinstance(one.engine, Squares)
    assert one.engine.calls == 1
    assert isinstance(result, CombinedResult)
    assert result.segment is not None
    assert result.instances is not None
    np.testing.assert_array_equal(result.segment.mask > 0, result.instances.ids > 0)
    assert result.classify is not None
    assert result.classify.label == "b"
    assert result.draw(scene()).shape == (300, 420, 3)
    assert set(result.to_table()) == {"segment", "instances", "detect", "classify"}
    # One label and one box: classification with localization.
    assert result.detect is not None
    assert len(result.detect.surest(1)) == 1


def test_rules_and_wrong_tasks() -> None:
    image = np.zeros((64, 64, 1), np.uint8)
    image[0:2, 0:2], image[20:40, 20:40] = 240, 240
    strict = predictor(("instances",), objects=ObjectRule(smallest_object=5))
    assert len(strict.instances(image)) == 1
    one = predictor(("detect",), objects=ObjectRule(max_detections=1))
    assert len(one.detect(image)) == 1
    assert len(predictor(("detect",)).detect(np.zeros((32, 32, 1), np.uint8))) == 0
    with pytest.raises(UsageError, match=r"the model's task is 'detect', not 'segment'; use 'predict'"):
        one.segment(image)


def test_results_are_what_other_programs_read() -> None:
    from pycocotools import mask as coco_mask

    image = scene()
    objects = predictor(("instances",)).instances(image)
    annotations = objects.to_coco(image_id=3, first_id=10)
    assert [one["id"] for one in annotations] == list(range(10, 10 + len(objects)))
    for number, one in enumerate(annotations, start=1):
        np.testing.assert_array_equal(coco_mask.decode(one["segmentation"]), objects.ids == number)
        assert one["area"] == (objects.ids == number).sum()
    table = objects.to_table(image)
    assert table[0]["mean_intensity_0"] in (120, 240)
    assert table[0]["solidity"] == 1
    features = objects.to_geojson()["features"]
    assert [one["geometry"]["type"] for one in features] == ["Polygon"] * len(objects)
    first = np.array(features[0]["geometry"]["coordinates"][0])
    assert [first[:, 0].min(), first[:, 1].min()] == [table[0]["left"], table[0]["top"]]
    boxes = predictor(("detect",)).detect(image)
    left, top, right, bottom = boxes.corners[0].tolist()
    assert boxes.to_coco()[0]["bbox"] == [left, top, right - left, bottom - top]
    assert boxes.to_geojson()["features"][0]["properties"]["class"] in BOXES.names
