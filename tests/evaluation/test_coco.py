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
from PIL import Image
from pycocotools import mask as coco_mask
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
from tests.evaluation.known import KnownResults

SIZE = (150, 220)
CATEGORIES = {3: "cat", 7: "dog", 8: "never marked", 20: "bird"}
OURS = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar")
THEIRS = (0, 1, 2, 3, 4, 5, 8)
"""Places in pycocotools' `stats`."""


def rectangle(left: float, top: float, width: float, height: float) -> list[list[float]]:
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]


def run_lengths(box: tuple[float, float, float, float]) -> dict[str, Any]:
    """An ellipse in a box."""
    left, top, width, height = box
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    inside = ((columns - left) / width * 2 - 1) ** 2 + ((rows - top) / height * 2 - 1) ** 2 < 1
    found = coco_mask.encode(np.asfortranarray(inside, np.uint8))
    return {"size": list(SIZE), "counts": found["counts"].decode()}


# Image, category, left, top, width, height, and p for a polygon, r for run lengths, c for a crowd.
MARKED = (
    (1, 3, 10, 10, 20, 20, "p"), (1, 3, 24, 14, 60, 40, "p"), (1, 7, 100, 20, 110, 120, "r"),
    (1, 20, 4, 60, 9, 12, "r"), (2, 3, 0, 0, 50.5, 40.25, "p"), (2, 7, 30, 30, 31, 31, "r"),
    (2, 7, 90, 10, 120, 130, "c"), (2, 7, 20, 90, 40, 40, "p"), (3, 20, 50, 50, 100, 97, "r"),
    (3, 20, 10, 10, 12, 30, "p"), (3, 3, 160, 5, 50, 140, "c"), (3, 3, 100, 100, 50, 40, "r"),
    (5, 7, 1, 1, 14, 14, "p"), (5, 7, 10, 10, 14, 14, "p"), (5, 7, 20, 20, 14, 14, "p"),
    (5, 3, 100, 10, 100, 120, "p"), (6, 20, 0, 0, 220, 150, "r"), (6, 3, 60, 60, 33, 33, "r"),
    (6, 3, 90, 60, 32, 32, "p"), (6, 20, 5, 100, 20, 20, "r"),
)  # fmt: skip
# The same of predictions, which are rectangles, and their scores; the 4th image shows nothing.
PREDICTED = (
    (1, 3, 11, 10, 20, 21, 0.9), (1, 3, 20, 15, 60, 41, 0.8), (1, 3, 22, 17, 60, 40, 0.8),
    (1, 7, 105, 25, 100, 120, 0.6), (1, 20, 4, 61, 9, 11, 0.3), (2, 3, 2, 3, 48, 38, 0.95),
    (2, 7, 32, 33, 28, 28, 0.7), (2, 7, 95, 20, 40, 40, 0.65), (2, 7, 150, 40, 50, 60, 0.85),
    (2, 7, 60, 80, 40, 40, 0.5), (2, 20, 5, 130, 20, 10, 0.4), (3, 20, 55, 52, 92, 90, 0.9),
    (3, 20, 10, 12, 12, 28, 0.2), (3, 3, 165, 10, 40, 60, 0.75), (3, 3, 100, 102, 52, 40, 0.35),
    (3, 7, 0, 0, 30, 9, 0.99), (4, 3, 10, 10, 50, 60, 0.55), (5, 7, 1, 2, 14, 13, 0.9),
    (5, 7, 11, 12, 13, 14, 0.6), (5, 3, 110, 15, 84, 110, 0.6), (6, 20, 3, 2, 190, 55, 0.7),
    (6, 3, 62, 61, 30, 31, 0.5), (6, 3, 93, 62, 30, 30, 0.5), (6, 20, 6, 101, 18, 20, 0.1),
)  # fmt: skip


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six images and a COCO file of polygons that overlap, run lengths, crowds and stated areas."""
    root = tmp_path_factory.mktemp("coco") / "set"
    (root / "images").mkdir(parents=True)
    images = []
    for number in range(1, 7):
        pixels = np.full((*SIZE, 3), 70, np.uint8)
        pixels[0, 0] = number - 1
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]})
    annotations = []
    for id_, (image, category, *box, kind) in enumerate(MARKED, start=1):
        shape: Any = rectangle(*box) if kind == "p" else run_lengths(tuple(box))
        # The area is neither that of the box nor the number of pixels, as in COCO's own files.
        area = 0.9 * box[2] * box[3]
        known = {"id": id_, "image_id": image, "category_id": category, "iscrowd": int(kind == "c")}
        annotations.append({**known, "bbox": box, "area": area, "segmentation": shape})
    categories = [{"id": id_, "name": name} for id_, name in CATEGORIES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return root


def predictions(image: int, classes: ClassMap) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Boxes, labels and scores."""
    rows = [row[1:] for row in PREDICTED if row[0] == image]
    boxes = np.array([row[1:5] for row in rows], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = np.array([classes.names.index(CATEGORIES[int(row[0])]) for row in rows], np.int64)
    return boxes, labels, np.array([row[5] for row in rows], np.float32)


def found_boxes(image: int, classes: ClassMap) -> DetectionResult:
    return DetectionResult(*predictions(image, classes), classes, SIZE)


def found_objects(image: int, classes: ClassMap) -> InstanceResult:
    """The boxes filled with ids, the later ones over the earlier."""
    boxes, labels, scores = predictions(image, classes)
    ids = np.zeros(SIZE, np.int32)
    for number, (left, top, right, bottom) in enumerate(boxes.astype(int), start=1):
        ids[top:bottom, left:right] = number
    return InstanceResult(ids, labels, scores, classes)


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
        shift = generator.integers(-4, 5, 2) * min(1, np.ptp(rows) // 12, np.ptp(columns) // 12)
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
