"""A COCO data set made by hand, and what scripted predictors say of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from segkit.data.formats._base import list_records
from segkit.inference.results import CombinedResult, DetectionResult, InstanceResult, Result
from segkit.structures import ClassMap, Record, TaskName
from tests.evaluation.known import KnownResults

SIZE = (150, 220)
CATEGORIES = {3: "cat", 7: "dog", 8: "never marked", 20: "bird"}


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


def write_set(root: Path) -> Path:
    """Write six images and a COCO file of polygons that overlap, run lengths, crowds and stated areas."""
    (root / "images").mkdir(parents=True)
    images = []
    for number in range(1, 7):
        pixels = np.full((*SIZE, 3), 70, np.uint8)
        pixels[0, 0] = number - 1
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        images.append({"id": number, "file_name": f"{number}.png", "height": SIZE[0], "width": SIZE[1]})
    annotations = []
    for id_, (image, category, *box, kind) in enumerate(MARKED, start=1):
        shape: Any = rectangle(*box) if kind == "p" else run_lengths((box[0], box[1], box[2], box[3]))
        # The area is neither that of the box nor the number of pixels, as in COCO's own files.
        area = 0.9 * box[2] * box[3]
        known = {"id": id_, "image_id": image, "category_id": category, "iscrowd": int(kind == "c")}
        annotations.append({**known, "bbox": box, "area": area, "segmentation": shape})
    categories = [{"id": id_, "name": name} for id_, name in CATEGORIES.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content))
    return root


def records(root: Path, task: TaskName) -> tuple[Record, ...]:
    """The images without being checked, which takes no time."""
    return list_records(root, "coco", task).records


def classes_of(task: TaskName) -> ClassMap:
    """Those of the categories; objects that are told by their pixels lie on a background."""
    names, ids = list(CATEGORIES.values()), list(CATEGORIES)
    if task == "instances":
        names, ids = ["background", *names], [0, *ids]
    colors = tuple((9 * index, 0, 200) for index in range(len(names)))
    return ClassMap(tuple(names), colors, ids=tuple(ids), background=0 if task == "instances" else None)


def predictor_of(tasks: Sequence[TaskName], least: float = 0, threshold: float = 0.5) -> KnownResults:
    """What finds the predicted boxes, or objects, of at least the score `least`."""
    heads = {task: classes_of(task) for task in tasks}

    def found(task: TaskName, number: int) -> Result:
        return (found_boxes if task == "detect" else found_objects)(number, heads[task], least)

    results = [{task: found(task, number) for task in tasks} for number in range(1, 7)]
    known = [CombinedResult.of(each) if len(tasks) > 1 else each[tasks[0]] for each in results]
    return KnownResults(known, heads, threshold)


def predictions(
    image: int, classes: ClassMap, least: float
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    """Boxes, labels and scores, those of at least the score `least`."""
    rows = [row[1:] for row in PREDICTED if row[0] == image and row[6] >= least]
    boxes = np.array([row[1:5] for row in rows], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = np.array([classes.names.index(CATEGORIES[int(row[0])]) for row in rows], np.int64)
    return boxes, labels, np.array([row[5] for row in rows], np.float32)


def found_boxes(image: int, classes: ClassMap, least: float = 0) -> DetectionResult:
    return DetectionResult(*predictions(image, classes, least), classes, SIZE)


def found_objects(image: int, classes: ClassMap, least: float = 0) -> InstanceResult:
    """The boxes filled with ids, the later ones over the earlier."""
    boxes, labels, scores = predictions(image, classes, least)
    ids = np.zeros(SIZE, np.int32)
    for number, (left, top, right, bottom) in enumerate(boxes.astype(int), start=1):
        ids[top:bottom, left:right] = number
    return InstanceResult(ids, labels, scores, classes)
