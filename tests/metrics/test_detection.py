"""Average precision equals pycocotools'; the best threshold and the pairs of objects by hand."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segkit.metrics.average_precision import at_threshold, average_precisions, best_threshold, precision_curve, rank
from segkit.metrics.detection import Matches, box_overlaps, match
from segkit.metrics.instances import count_error, object_sums, pair_objects, panoptic_quality, precision_at_half
from segkit.structures import Instances

CLASSES = 3


def random_set(seed: int, images: int = 12) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """COCO's annotations and results: objects of all sizes, crowds, empty images, doubles, equal scores."""
    generator = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        for _ in range(0 if image == 1 else generator.integers(1, 14)):
            left, top = generator.uniform(0, 400, 2)
            width, height = generator.uniform(4, 200, 2)
            category, is_crowd = int(generator.integers(1, CLASSES + 1)), int(generator.random() < 0.15)
            annotations.append(
                {
                    "id": len(annotations) + 1, "image_id": image, "category_id": category, "iscrowd": is_crowd,
                    "bbox": [left, top, width, height], "area": width * height,
                }
            )  # fmt: skip
            for _ in range(generator.integers(0, 3)):
                shift = generator.normal(0, 0.12, 4) * [width, height, width, height]
                box = np.maximum(np.array([left, top, width, height]) + shift, 1).tolist()
                kind = category if generator.random() < 0.8 else int(generator.integers(1, CLASSES + 1))
                score = round(float(generator.random()), 2)
                results.append({"image_id": image, "category_id": kind, "bbox": box, "score": score})
    return annotations, results


def coco_scores(annotations: list[dict[str, Any]], results: list[dict[str, Any]], images: int) -> COCOeval:
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(1, images + 1)],
        "categories": [{"id": category} for category in range(1, CLASSES + 1)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def matched(annotations: list[dict[str, Any]], results: list[dict[str, Any]], images: int) -> list[list[Matches]]:
    """Per class, one entry per image."""

    def corners(found: list[dict[str, Any]]) -> np.ndarray:
        boxes = np.array([one["bbox"] for one in found], np.float64).reshape(-1, 4)
        return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)

    of_classes = []
    for category in range(1, CLASSES + 1):
        of_images = []
        for image in range(1, images + 1):
            truth = [a for a in annotations if (a["image_id"], a["category_id"]) == (image, category)]
            found = [r for r in results if (r["image_id"], r["category_id"]) == (image, category)]
            crowd = np.array([a["iscrowd"] == 1 for a in truth], bool)
            overlaps = box_overlaps(corners(found), corners(truth), crowd)
            areas = np.array([r["bbox"][2] * r["bbox"][3] for r in found])
            scores = np.array([r["score"] for r in found])
            of_images.append(match(overlaps, scores, areas, np.array([a["area"] for a in truth]), crowd))
        of_classes.append(of_images)
    return of_classes


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_equals_pycocotools(seed: int) -> None:
    images = 12
    annotations, results = random_set(seed, images)
    evaluation = coco_scores(annotations, results, images)
    for index, of_images in enumerate(matched(annotations, results, images)):
        precisions, recalls = average_precisions(rank(of_images), np.ones((1, images)))
        for area in range(4):
            theirs = evaluation.eval["precision"][:, :, index, area, 2]
            expected = np.where((theirs > -1).all(axis=1), theirs.mean(axis=1), np.nan)
            np.testing.assert_allclose(precisions[0, area], expected, atol=1e-9)
            reached = evaluation.eval["recall"][:, index, area, 2]
            np.testing.assert_allclose(recalls[0, area], np.where(reached > -1, reached, np.nan), atol=1e-9)


def test_a_resample_is_the_data_set_with_images_repeated() -> None:
    annotations, results = random_set(7, 5)
    of_images = matched(annotations, results, 5)[0]
    counts = [2, 0, 1, 3, 1]
    repeated = [of_images[image] for image, count in enumerate(counts) for _ in range(count)]
    weighted, _ = average_precisions(rank(of_images), np.array([counts], float))
    whole, _ = average_precisions(rank(repeated), np.ones((1, len(repeated))))
    np.testing.assert_allclose(
        weighted, whole, atol=0.02
    )  # equal scores are ordered by image in one, mixed in the other


def test_threshold_and_curve_by_hand() -> None:
    boxes = np.array([[0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]], float)
    scores = np.array([0.9, 0.6, 0.3])
    found = match(
        box_overlaps(boxes, boxes[:2], np.zeros(2, bool)), scores, np.full(3, 100), np.full(2, 100), np.zeros(2, bool)
    )
    assert best_threshold([found]) == 0.6  # the third box is wrong
    ranking = rank([found])
    curve = precision_curve(ranking)
    assert curve is not None
    assert (curve.precision == 1).all()
    assert curve.scores.tolist() == [0.9] * 51 + [0.6] * 50  # the first object is half of them
    assert at_threshold(ranking, 0.3) == (1, 2 / 3)
    assert at_threshold(ranking, 0.6) == (1, 1)
    assert at_threshold(ranking, 0.7) == (0.5, 1)
    assert np.isnan(at_threshold(ranking, 0.91)[1])
    nothing = match(np.zeros((0, 2)), np.empty(0), np.empty(0), np.full(2, 100), np.zeros(2, bool))
    assert best_threshold([nothing]) is None
    missed = precision_curve(rank([nothing]))
    assert missed is not None
    assert (missed.precision == 0).all()
    assert np.isnan(missed.scores).all()


def test_objects_by_hand() -> None:
    truth, found = np.zeros((10, 20), np.int32), np.zeros((10, 20), np.int32)
    truth[0:4, 0:4], truth[5:9, 5:9], truth[0:2, 15:20] = 1, 2, -1
    found[0:4, 0:3], found[5:9, 5:9], found[0:2, 15:20], found[9, 19] = 1, 2, 3, 4
    reference, prediction = Instances(truth, np.array([1, 1])), Instances(found, np.array([1, 2, 1, 1]))
    sums = object_sums(pair_objects(reference, prediction), reference, prediction, num_classes=3)
    # Object 1 is found with 12 / 16, object 2 has another class, 3 lies where nothing counts, 4 is invented.
    assert sums[:, 1].tolist() == [1, 2, 2, 0.75]
    assert sums[:, 2].tolist() == [0, 0, 1, 0]
    whole = sums.sum(axis=1)
    assert precision_at_half(whole) == 1 / (2 + 3 - 1)
    assert [float(part) for part in panoptic_quality(whole)] == [0.75 / 2.5, 0.75, 1 / 2.5]
    assert count_error(whole) == 0.5
    empty = np.zeros(4)
    assert np.isnan(precision_at_half(empty))
    assert np.isnan(count_error(empty))
