"""The evaluation of a COCO file, boxes and masks, is pycocotools' of the same file and predictions."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from segkit.data.formats._base import list_records
from segkit.data.opening import open_dataset
from segkit.data.samples import load_targets
from segkit.evaluation.detect import DetectionTally
from segkit.evaluation.evaluate import Evaluation, evaluate
from segkit.evaluation.instances import InstanceTally
from segkit.inference.results import DetectionResult, InstanceResult
from segkit.ops.boxes import boxes_of_ids
from segkit.structures import ClassMap, Instances
from tests.evaluation.coco_set import found_boxes, found_objects, write_set
from tests.evaluation.known import KnownResults

OURS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
THEIRS = (0, 1, 2, 3, 4, 5, 8)
"""Places in pycocotools' `stats`."""


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("coco") / "set")


def theirs(path: Path, results: list[dict[str, Any]], kind: Literal["bbox", "segm"]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(path)
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def require_equal(found: dict[str, Any], rows: Sequence[dict[str, Any]], expected: COCOeval) -> None:
    """The scores of the data set, and AP and AR of each class, to 1e-6."""
    for name, place in zip(OURS, THEIRS, strict=True):
        assert found[name]["value"] == mean(expected.stats[place]), name
    names = {category["id"]: category["name"] for category in expected.cocoGt.dataset["categories"]}
    known = {row["name"]: row for row in rows}
    for number, category in enumerate(expected.params.catIds):
        row, precision = known[names[category]], expected.eval["precision"][:, :, number, :, -1]
        for area, name in enumerate(("ap", "ap_small", "ap_medium", "ap_large")):
            assert row[name]["value"] == mean(precision[:, :, area]), (row["name"], name)
        assert row["ap50"]["value"] == mean(precision[0, :, 0])
        assert row["ap75"]["value"] == mean(precision[5, :, 0])
        assert row["ar"]["value"] == mean(expected.eval["recall"][:, number, 0, -1])


def mean(values: NDArray[np.float64]) -> Any:
    """None for pycocotools' -1, which stands for nothing to find."""
    return None if (values == -1).any() else pytest.approx(np.mean(values), abs=1e-6)


def scored(root: Path, task: Literal["detect", "instances"]) -> tuple[Evaluation, list[dict[str, Any]]]:
    """Our evaluation, and the predictions in COCO's format for results."""
    dataset = open_dataset(root, task=task)
    found = found_boxes if task == "detect" else found_objects
    results = [found(number, dataset.classes) for number in range(1, 7)]
    evaluation = evaluate(KnownResults(results, dataset.heads), dataset.records, dataset.classes)
    kept = {"image_id", "category_id", "score", "bbox" if task == "detect" else "segmentation"}
    plain = [
        {key: value for key, value in entry.items() if key in kept}
        for number, result in enumerate(results, start=1)
        for entry in result.to_coco(number)
    ]
    return evaluation, plain


def test_boxes_of_a_file_made_by_hand(by_hand: Path) -> None:
    evaluation, plain = scored(by_hand, "detect")
    expected = theirs(by_hand / "instances.json", plain, "bbox")
    require_equal(evaluation.scores["dataset"], evaluation.scores["classes"], expected)
    assert min(expected.stats[list(THEIRS)]) > 0.05  # all of them say something
    assert evaluation.scores["images"] == 6


def test_masks_of_a_file_made_by_hand(by_hand: Path) -> None:
    evaluation, plain = scored(by_hand, "instances")
    expected = theirs(by_hand / "instances.json", plain, "segm")
    rows = [{**row["coco"], "name": row["name"]} for row in evaluation.scores["classes"]]
    require_equal(evaluation.scores["coco"], rows, expected)
    assert min(expected.stats[list(THEIRS)]) > 0.05
    assert evaluation.scores["metric"] == "AP@0.5"
    assert evaluation.scores["coco"]["cut"] == 0


def moved(reference: Instances, classes: ClassMap, generator: np.random.Generator) -> InstanceResult:
    """The objects in another order, each moved a little and with a score, some of another class."""
    ids = np.zeros_like(reference.ids)
    count = len(reference.labels)
    for number in generator.permutation(count) + 1:
        rows, columns = np.nonzero(reference.ids == number)
        shift = generator.integers(-4, 5, 2) * min(1, int(np.ptp(rows)) // 12, int(np.ptp(columns)) // 12)
        ids[(rows + shift[0]).clip(0, ids.shape[0] - 1), (columns + shift[1]).clip(0, ids.shape[1] - 1)] = number
    others = generator.integers(1, classes.num_classes, count)
    labels = np.where(generator.random(count) < 0.9, reference.labels, others)
    return InstanceResult(ids, labels, generator.random(count).round(2).astype(np.float32), classes)


def test_real_objects_with_crowds(datasets: Callable[[str], Path]) -> None:
    """Boxes and masks of the same predictions, of 80 classes that most images show nothing of."""
    root = datasets("coco_mini")
    listing = list_records(root, "coco", "instances")
    assert listing.declared is not None
    names = listing.declared.names
    colors = tuple((0, 0, index) for index in range(len(names)))
    boxed = ClassMap(names, colors, ids=listing.declared.ids, background=None)
    classes = ClassMap(("background", *names), ((9, 9, 9), *colors), ids=(0, *listing.declared.ids))
    path = root / "annotations" / "instances_val2017.json"
    numbers = {Path(image["file_name"]).stem: image["id"] for image in json.loads(path.read_text())["images"]}
    objects, boxes = InstanceTally(classes, coco=True), DetectionTally(boxed, 0.5)
    generator = np.random.default_rng(0)
    segments: list[dict[str, Any]] = []
    corners: list[dict[str, Any]] = []
    for record in (record for record in listing.records if record.split == "val"):
        sample = load_targets(record, {"instances": classes, "detect": boxed})
        assert sample.instances is not None
        found = moved(sample.instances, classes, generator)
        size = found.ids.shape[0], found.ids.shape[1]
        around = DetectionResult(boxes_of_ids(found.ids, len(found)), found.labels - 1, found.scores, boxed, size)
        objects.add(sample, found)
        boxes.add(sample, around)
        number = numbers[record.id]
        segments += [{k: v for k, v in one.items() if k not in ("bbox", "area")} for one in found.to_coco(number)]
        corners += around.to_coco(number)
    scores = objects.scores(quick=True)
    rows = [{**row["coco"], "name": row["name"]} for row in scores["classes"]]
    require_equal(scores["coco"], rows, theirs(path, segments, "segm"))
    scores = boxes.scores(quick=True)
    require_equal(scores["dataset"], scores["classes"], theirs(path, corners, "bbox"))
