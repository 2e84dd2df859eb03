"""From outputs by hand to results by hand: boxes in pixels of the image, objects from masks, of several networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.predictor import Predictor
from segkit.inference.results import CombinedResult
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap
from tests.inference.networks import plain_pipeline
from tests.inference.test_objects import BOXES, OBJECTS, by_place, predictor, scene

Arrays = dict[str, NDArray[np.float32]]
Rows = Sequence[Any]


class Says:
    """An engine that always gives the same outputs."""

    description = "says"

    def __init__(self, **outputs: Any) -> None:
        self.outputs = {name.replace("__", "/"): np.asarray(values, np.float32) for name, values in outputs.items()}

    def run(self, images: NDArray[np.float32]) -> Arrays:
        return self.outputs


def boxes_of(boxes: Rows, logits: Rows, **settings: Any) -> Predictor:
    centerness = [[50.0] * len(boxes)]
    engine = Says(detect=[logits], detect__boxes=[boxes], detect__centerness=centerness)
    return Predictor(engine, plain_pipeline(1, **settings), {"detect": BOXES})


BLANK: NDArray[np.uint8] = np.zeros((40, 80, 1), np.uint8)


@pytest.mark.parametrize(
    ("settings", "seen", "expected"),
    [
        ({}, [10, 5, 30, 20], [10, 5, 30, 20]),
        ({"smallest": 96}, [10, 33, 40, 50], [2, 5, 32, 22]),  # 28 rows and 8 columns are mirrored on before it
        ({"stride_multiple": 32}, [18, 17, 38, 32], [10, 5, 30, 20]),
        ({"size": (20, 20)}, [5, 2, 10, 10], [20, 4, 40, 20]),  # stretched: 4 columns and 2 rows become a pixel
        ({"size": (20, 20), "keep_proportions": True}, [5, 2, 10, 10], [30, 4, 40, 20]),  # columns 20 to 60 are seen
        ({"size": (20, 20), "keep_proportions": True, "center_crop": (10, 10)}, [0, 0, 5, 2], [30, 10, 40, 14]),
        ({"size": (20, 20), "center_crop": (10, 16)}, [0, 0, 5, 2], [8, 10, 28, 14]),
    ],
)
def test_boxes_come_back_to_pixels_of_the_image(
    settings: dict[str, Any], seen: list[float], expected: list[float]
) -> None:
    found = boxes_of([seen], [[50, -50]], **settings).detect(BLANK)
    assert found.corners.tolist() == [expected]
    assert found.size == (40, 80)


def test_the_place_of_what_is_seen_is_where_the_pipeline_cuts_it() -> None:
    """A bright rectangle of the image is bright where its box, brought to what the network sees, lies."""
    steps = plain_pipeline(1, size=(32, 40), keep_proportions=True, center_crop=(24, 32))
    image = np.zeros((100, 180, 1), np.uint8)
    image[40:60, 70:110] = 255
    left, top, width, height = steps.place_of_seen((100, 180))
    rows, columns = np.nonzero(steps.prepare(image)[0] > 0)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    brought = [left + box[0] * width, top + box[1] * height, left + box[2] * width, top + box[3] * height]
    np.testing.assert_allclose(brought, [70, 40, 110, 60], atol=max(width, height))


def test_scores_and_what_stays_by_hand() -> None:
    logits = [[0.0, -50], [2, -50], [2, -50], [-50, 2], [-9, -50], [50, -50], [50, -50]]
    boxes = [
        [0, 0, 10, 10],
        [0, 0, 10, 9],
        [20, 0, 30, 10],
        [20, 0, 30, 10],
        [50, 0, 60, 9],
        [-9, 0, 8, 9],
        [70, 30, 99, 99],
    ]
    found = boxes_of(boxes, logits).detect(BLANK)
    sure = np.sqrt(1 / (1 + np.exp(-2)))
    # The first is covered by the second, the fifth is unsure, the sixth's and seventh's middles lie outside.
    assert found.corners.tolist() == [[0, 0, 10, 9], [20, 0, 30, 10], [20, 0, 30, 10]]
    assert found.names == ["dim", "dim", "bright"]
    np.testing.assert_allclose(found.scores, [sure] * 3, rtol=1e-6)
    assert len(found.above(0.99)) == 0


def test_boxes_are_cut_to_the_image_and_the_surest_are_given() -> None:
    logits = [[1.0, -50], [3, -50], [2, -50]]
    boxes = [[-3.0, -3, 9, 9], [70, 30, 85, 44], [30, 10, 40, 20]]
    found = boxes_of(boxes, logits, objects={"max_detections": 2}).detect(BLANK)
    assert found.corners.tolist() == [[70, 30, 80, 40], [30, 10, 40, 20]]


def masks_of(boxes: Rows, scores: list[float], labels: list[int], **settings: Any) -> Predictor:
    engine = Says(
        instances__boxes=boxes, instances__scores=scores, instances__labels=labels,
        instances__masks=np.ones((len(boxes), 28, 28)),
    )  # fmt: skip
    classes = ClassMap(("background", "round", "long"))
    return Predictor(engine, plain_pipeline(1, **settings), {"instances": classes})


def test_masks_in_boxes_become_objects_the_surer_over_the_others() -> None:
    boxes = [[20.0, 0, 40, 10], [10, 5, 30, 20], [0, 0, 5, 5], [60, 30, 61, 31]]
    found = masks_of(boxes, [0.6, 0.9, 0.3, 0.8], [2, 1, 1, 1]).instances(BLANK, spacing=(0.5, 0.25))
    expected = np.zeros((40, 80), np.int32)
    expected[0:10, 20:40] = 1
    expected[5:20, 10:30] = 2
    np.testing.assert_array_equal(found.ids, expected)
    assert found.labels.tolist() == [2, 1]
    np.testing.assert_allclose(found.scores, [0.6, 0.9])
    assert found.spacing == (0.5, 0.25)


def test_what_surer_objects_leave_too_little_of_is_no_object() -> None:
    boxes = [[10.0, 5, 30, 25], [20, 5, 26, 29], [50, 0, 60, 10], [45, 0, 65, 20]]  # a sliver is left of the second
    found = masks_of(boxes, [0.9, 0.8, 0.7, 0.6], [1, 1, 1, 1]).instances(BLANK)
    assert [np.count_nonzero(found.ids == number) for number in (1, 2, 3)] == [300, 100, 400]
    np.testing.assert_allclose(found.scores, [0.6, 0.7, 0.9])


def test_masks_of_doubles_and_of_nothing() -> None:
    twice = [[10.0, 5, 30, 20], [10, 5, 30, 21]]
    assert len(masks_of(twice, [0.7, 0.9], [1, 1]).instances(BLANK)) == 1
    nothing = masks_of([], [], [])
    nothing.engine.outputs["instances/boxes"] = np.empty((0, 4), np.float32)  # type: ignore[attr-defined]
    assert len(nothing.instances(BLANK)) == 0
    assert nothing.instances(BLANK).ids.shape == (40, 80)


class CutMasks:
    """Mask R-CNN on an image with one bright rectangle: a full mask in the box of what a tile shows of it."""

    description = "cut masks"

    def run(self, images: NDArray[np.float32]) -> Arrays:
        rows, columns = np.nonzero(images[0, 0] > 0)
        count = min(1, len(rows))
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if count else [0, 0, 0, 0]
        return {
            "instances/boxes": np.array([box] * count, np.float32).reshape(-1, 4),
            "instances/labels": np.ones(count, np.float32),
            "instances/scores": np.full(count, 0.9, np.float32),
            "instances/masks": np.ones((count, 28, 28), np.float32),
        }


@pytest.mark.parametrize("box", [(10, 10, 25, 30), (20, 40, 50, 70), (10, 20, 90, 60), (0, 0, 151, 113)])
def test_masks_of_tiles_become_one_object(box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    image = np.zeros((113, 151, 1), np.uint8)
    image[top:bottom, left:right] = 255
    pipeline = plain_pipeline(1, whole_limit=1, tile=64, overlap=0.5, stride_multiple=16)
    found = Predictor(CutMasks(), pipeline, {"instances": OBJECTS}).instances(image)
    np.testing.assert_array_equal(found.ids, image[..., 0] // 255)


def test_the_spacing_of_a_file_is_that_of_its_objects(tmp_path: Path) -> None:
    import tifffile

    pixels = np.zeros((40, 80), np.uint8)
    pixels[10:20, 30:50] = 240
    resolution = (10 / 0.25, 10 / 0.5)  # pixels per centimetre, across and down
    tifffile.imwrite(tmp_path / "a.tif", pixels, resolution=resolution, resolutionunit="CENTIMETER")
    found = predictor(("instances",)).instances(tmp_path / "a.tif")
    from segkit.data.image_io import read_raster

    assert found.spacing == read_raster(tmp_path / "a.tif").spacing


def test_boxes_of_several_networks_are_fused() -> None:
    """Two thirds of the first's box and one third of the second's, which is half as sure; alone, half the score."""
    logit = -np.log(1 / 0.8**2 - 1), -np.log(1 / 0.4**2 - 1)  # the score is a root where centerness is certain
    first = boxes_of([[10, 10, 20, 20], [30, 5, 40, 15]], [[-50, logit[0]], [logit[0], -50]])
    second = boxes_of([[11, 10, 21, 20]], [[-50, logit[1]]])
    found = EnsemblePredictor.of([first, second], Path("ensemble.json")).detect(BLANK)
    np.testing.assert_allclose(found.corners, np.array([[31 / 3, 10, 61 / 3, 20], [30, 5, 40, 15]]), atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.6, 0.4], atol=1e-4)
    assert found.names == ["bright", "dim"]


@pytest.mark.parametrize("settings", [{}, {"whole_limit": 1, "tile": 96, "overlap": 0.5}], ids=["whole", "in tiles"])
def test_detectors_that_agree_are_one(settings: dict[str, Any]) -> None:
    one = predictor(("segment", "detect"), stride_multiple=32, **settings)
    image = scene()
    both = EnsemblePredictor.of([one, one, one], Path("ensemble.json")).predict(image)
    alone = one.predict(image)
    assert isinstance(both, CombinedResult)
    assert isinstance(alone, CombinedResult)
    assert both.detect is not None
    assert alone.detect is not None
    assert len(alone.detect) > 10
    fused, expected = by_place(both.detect), by_place(alone.detect)
    np.testing.assert_allclose(fused.corners, expected.corners, atol=1e-4)
    np.testing.assert_allclose(fused.scores, expected.scores, atol=1e-6)
    np.testing.assert_array_equal(fused.labels, expected.labels)


def test_of_masks_in_boxes_the_surer_network_s_stay() -> None:
    first = masks_of([[1.0, 1, 9, 9]], [0.9], [1])
    second = masks_of([[1.0, 1, 9, 10], [20, 20, 30, 30]], [0.8, 0.7], [1, 1])
    found = EnsemblePredictor.of([first, second], Path("ensemble.json")).instances(BLANK)
    np.testing.assert_allclose(found.scores, [0.9, 0.7])
    assert (found.ids[1:9, 1:9] == 1).all()
    assert found.ids[9, 5] == 0


@pytest.mark.parametrize("settings", [{}, {"whole_limit": 1, "tile": 32}], ids=["whole", "in tiles"])
def test_objects_grow_from_the_mean_of_the_members_maps(settings: dict[str, Any]) -> None:
    image = np.zeros((64, 64, 1), np.uint8)
    image[20:40, 20:40] = 240
    one = predictor(("segment", "instances", "classify"), **settings)
    both = EnsemblePredictor.of([one, one], Path("ensemble.json"))
    np.testing.assert_array_equal(both.instances(image).ids, one.instances(image).ids)
    np.testing.assert_allclose(both.classify(image).probabilities, one.classify(image).probabilities, atol=1e-6)


def test_model_files_without_the_rule_have_the_usual_one() -> None:
    plain = plain_pipeline(1).model_dump(mode="json")
    del plain["objects"]
    assert Pipeline.parse(plain).objects == plain_pipeline(1).objects
    assert plain_pipeline(1).objects.model_dump() == {
        "least_score": 0.05,
        "threshold": 0.5,
        "overlap": 0.6,
        "max_detections": 300,
        "seed_threshold": 0.5,
        "smallest_seed": 1,
        "smallest_object": 4,
    }
