"""Matching of masks equals pycocotools' for disjoint objects and for marked regions that cover one another."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segkit.metrics.average_precision import average_precisions, rank
from segkit.metrics.detection import Matches
from segkit.metrics.masks import Overlaps, Region, match_masks, overlaps_of_ids, overlaps_of_regions
from segkit.structures import IGNORE_INDEX, Instances

CLASSES = 2
SIZE = (170, 200)
IMAGES = 8

Drawn = list[list[Region]]
Predicted = list[tuple[Instances, NDArray[np.float32]]]


def discs(generator: np.random.Generator, count: int) -> list[NDArray[np.bool_]]:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    centers, radii = generator.uniform(0, 200, (count, 2)), generator.uniform(3, 60, count)
    return [(rows - y) ** 2 + (columns - x) ** 2 < r**2 for (y, x), r in zip(centers, radii, strict=True)]


def random_set(seed: int) -> tuple[Drawn, Predicted]:
    """Discs that cover one another, some a crowd; predicted are most of them moved, of another class or twice."""
    generator = np.random.default_rng(seed)
    drawn: Drawn = []
    predicted: Predicted = []
    for image in range(IMAGES):
        found = discs(generator, 0 if image == 0 else int(generator.integers(1, 12)))
        regions = [Region(int(generator.integers(CLASSES)), generator.random() < 0.15, one) for one in found]
        drawn.append([one._replace(area=float(one.pixels.sum()) + 0.5) for one in regions if one.pixels.any()])
        ids = np.zeros(SIZE, np.int32)
        labels = []
        for one in (*drawn[-1], *drawn[-1][:2]):
            moved = np.roll(one.pixels, generator.integers(-6, 7, 2), (0, 1))
            labels.append(one.label if generator.random() < 0.8 else int(generator.integers(CLASSES)))
            ids[moved & (generator.random(SIZE) < 0.97)] = len(labels)
        scores = generator.random(len(labels)).round(1).astype(np.float32)
        predicted.append((Instances(ids, np.array(labels, np.int64)), scores))
    return drawn, predicted


def encoded(pixels: NDArray[np.bool_]) -> Any:
    return coco_mask.encode(np.asfortranarray(pixels, np.uint8))


def theirs(drawn: Drawn, predicted: Predicted) -> COCOeval:
    truth = COCO()
    results: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, regions in enumerate(drawn, start=1):
        for one in regions:
            shape = {"segmentation": encoded(one.pixels), "bbox": [0, 0, 1, 1]}
            area = one.pixels.sum() if one.area is None else one.area
            labels = range(CLASSES) if one.label == IGNORE_INDEX else [one.label]
            for label in labels:
                known = {"id": len(annotations) + 1, "image_id": image, "category_id": label + 1}
                annotations.append({**known, **shape, "iscrowd": int(one.crowd), "area": float(area)})
    truth.dataset = {
        "images": [{"id": image + 1, "height": SIZE[0], "width": SIZE[1]} for image in range(len(drawn))],
        "categories": [{"id": category + 1} for category in range(CLASSES)],
        "annotations": annotations,
    }
    for image, (objects, scores) in enumerate(predicted, start=1):
        for id_, (label, score) in enumerate(zip(objects.labels, scores, strict=True), start=1):
            if (objects.ids == id_).any():
                shape = {"segmentation": encoded(objects.ids == id_)}
                results.append({"image_id": image, "category_id": int(label) + 1, "score": float(score), **shape})
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def require_equal(overlaps: list[Overlaps], predicted: Predicted, evaluation: COCOeval) -> None:
    for class_ in range(CLASSES):
        matches: list[Matches] = [
            match_masks(found, objects.labels, scores, class_)
            for found, (objects, scores) in zip(overlaps, predicted, strict=True)
        ]
        precisions, recalls = average_precisions(rank(matches), np.ones((1, len(matches))))
        for area in range(4):
            expected = evaluation.eval["precision"][:, :, class_, area, 2]
            expected = np.where((expected > -1).all(axis=1), expected.mean(axis=1), np.nan)
            np.testing.assert_allclose(precisions[0, area], expected, atol=1e-9)
            reached = evaluation.eval["recall"][:, class_, area, 2]
            np.testing.assert_allclose(recalls[0, area], np.where(reached > -1, reached, np.nan), atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_marked_regions(seed: int) -> None:
    drawn, predicted = random_set(seed)
    overlaps = [overlaps_of_regions(regions, objects) for regions, (objects, _) in zip(drawn, predicted, strict=True)]
    assert sum(one.crowd for regions in drawn for one in regions) > 0
    require_equal(overlaps, predicted, theirs(drawn, predicted))


@pytest.mark.parametrize("seed", range(4, 7))
def test_images_of_ids(seed: int) -> None:
    """What is not counted there is a crowd of every class."""
    drawn, predicted = random_set(seed)
    references, disjoint = [], []
    for regions in drawn:
        ids = np.zeros(SIZE, np.int32)
        for number, one in enumerate(regions, start=1):
            ids[one.pixels] = IGNORE_INDEX if one.crowd else number
        present = [number for number in range(1, len(regions) + 1) if (ids == number).any()]
        kept = [Region(regions[number - 1].label, False, ids == number) for number in present]
        hidden = Region(IGNORE_INDEX, True, ids == IGNORE_INDEX)
        disjoint.append([*kept, hidden])
        renamed = np.zeros(len(regions) + 2, np.int32)
        renamed[present], renamed[-1] = np.arange(1, len(present) + 1), IGNORE_INDEX
        references.append(Instances(renamed[ids], np.array([one.label for one in kept], np.int64)))
    overlaps = [overlaps_of_ids(one, objects) for one, (objects, _) in zip(references, predicted, strict=True)]
    require_equal(overlaps, predicted, theirs(disjoint, predicted))
    for by_ids, regions, (objects, _) in zip(overlaps, disjoint, predicted, strict=True):
        by_regions = overlaps_of_regions(regions, objects)
        assert (by_ids.shared != by_regions.shared).nnz == 0
        assert by_ids.marked.tolist() == by_regions.marked.tolist()


def test_only_the_100_surest_of_a_class_count() -> None:
    ids = np.arange(1, 121, dtype=np.int32).reshape(10, 12)
    objects = Instances(ids, np.zeros(120, np.int64))
    scores = np.linspace(1, 0, 120, dtype=np.float32)
    found = match_masks(overlaps_of_ids(objects, objects), objects.labels, scores, 0)
    assert found.scores.tolist() == scores[:100].tolist()
    assert found.hits[0].all()
    assert found.objects[0] == 120


def test_nothing_marked_and_nothing_predicted() -> None:
    empty = Instances(np.zeros((4, 5), np.int32), np.zeros(0, np.int64))
    one = Instances(np.eye(4, 5, dtype=np.int32), np.zeros(1, np.int64))
    nothing, some = np.zeros(0, np.float32), np.ones(1, np.float32)
    for reference, prediction, scores in ((empty, empty, nothing), (one, empty, nothing), (empty, one, some)):
        found = match_masks(overlaps_of_ids(reference, prediction), prediction.labels, scores, 0)
        assert not found.hits.any()
        assert found.objects[0] == len(reference.labels)
        again = match_masks(overlaps_of_regions([], prediction), prediction.labels, scores, 0)
        assert len(again.scores) == len(scores)


def test_one_region_is_in_memory_at_a_time() -> None:
    ids = np.arange(1, 401, dtype=np.int32).reshape(20, 20).repeat(25, 0).repeat(25, 1)
    objects = Instances(ids, np.zeros(400, np.int64))
    regions = (Region(0, False, ids == number) for number in range(1, 401))
    tracemalloc.start()
    try:
        overlaps = overlaps_of_regions(regions, objects)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * ids.size  # all regions are 400 times as many bytes as there are pixels
    assert (overlaps.shared.toarray() == 625 * np.eye(400)).all()
