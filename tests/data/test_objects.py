"""Targets of boxes and objects: read from annotations, cut, augmented, and drawn as cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segkit.data.augment import Augmenter
from segkit.data.dataset import TrainingSet
from segkit.data.loader import Draw, collate
from segkit.data.objects import boxes_of, compacted
from segkit.data.opening import open_dataset
from segkit.data.samples import load_targets
from segkit.data.synthetic import write_sample
from segkit.errors import DataError, UsageError
from segkit.ops.boxes import boxes_of_ids
from segkit.pipeline import Pipeline
from segkit.structures import IGNORE_INDEX, Annotation, ClassMap, Instances, ObjectAnnotation

CLASSES = ClassMap(("a", "b"), background=None)
PIPELINE = Pipeline(channels=1, mean=(0.5,), std=(0.2,))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "s"
    write_sample(out, count=8, size=96)
    return out


def test_boxes_are_cut_to_the_image_and_ignored_ones_do_not_count() -> None:
    objects = (
        ObjectAnnotation("b", (-5, 2, 10, 12)),
        ObjectAnnotation("crowd of anything", (0, 0, 5, 5), ignored=True),
        ObjectAnnotation("a", (3, 3, 8, 8), ignored=True),
        ObjectAnnotation("a", (50, 50, 60, 60)),
    )
    found = boxes_of(Annotation(objects, Path("x.json")), CLASSES, (20, 20))
    assert found.corners.tolist() == [[0, 2, 10, 12], [3, 3, 8, 8]]
    assert found.labels.tolist() == [1, IGNORE_INDEX]
    with pytest.raises(DataError, match=r"x.json: 'c' is no class; classes: a, b"):
        boxes_of(Annotation((ObjectAnnotation("c", (0, 0, 1, 1)),), Path("x.json")), CLASSES, (20, 20))


def test_covered_objects_are_gone() -> None:
    found = compacted(Instances(np.array([[3, 0, -1]], np.int32), np.array([5, 6, 7])))
    assert (found.ids.tolist(), found.labels.tolist()) == ([[1, 0, -1]], [7])


def test_the_sample_has_every_target(sample: Path) -> None:
    dataset = open_dataset(sample, heads=("classify", "detect", "segment", "instances"))
    assert list(dataset.heads) == ["segment", "instances", "detect", "classify"]
    assert not dataset.errors
    assert dataset.heads["detect"].names == ("round_cell", "spindle_cell")
    found = load_targets(dataset.records[0], dataset.heads)
    assert found.mask is not None
    assert found.instances is not None
    assert found.boxes is not None
    assert found.label is not None
    tight = boxes_of_ids(found.instances.ids, len(found.instances.labels))
    np.testing.assert_array_equal(tight, found.boxes.corners)
    np.testing.assert_array_equal(found.instances.labels - 1, found.boxes.labels)
    assert any(note.startswith("targets: segment 8 images, instances 8 images") for note in dataset.notes)


def test_items_hold_the_targets_of_their_heads_and_missing_ones_do_not_count(sample: Path) -> None:
    dataset = open_dataset(sample, heads=("segment", "instances", "detect", "classify"))
    bare = dataset.records[0].__class__("bare", dataset.records[0].image, label="round_cell")
    training = TrainingSet((dataset.records[0], bare), dataset.heads, PIPELINE, Augmenter("standard", 1), (64, 64))
    items = [training[Draw(0, position, position)] for position in range(2)]
    assert list(items[0]) == ["image", "mask", "cells", "boxes", "box_label", "label"]
    for name in ("mask", "cells", "box_label"):
        assert (items[1][name] == IGNORE_INDEX).all()
    assert items[1]["boxes"].tolist() == [[0, 0, 64, 64]]
    batch = collate(items)
    longest = len(items[0]["boxes"])
    assert batch["boxes"].shape == (2, longest, 4)
    assert not batch["boxes"][1, 1:].any()
    assert (batch["box_label"][1] == IGNORE_INDEX).all()
    assert torch.equal(collate([training[Draw(0, 0, 0)]])["image"], items[0]["image"][None])


def test_objects_that_nothing_tells_apart_are_refused(tmp_path: Path, sample: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    for number, file in enumerate(sorted((sample / "images").iterdir())[:4]):
        (tmp_path / ("cat", "dog")[number % 2] / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UsageError, match=r"does not tell objects apart; --task instances takes outlines"):
        open_dataset(tmp_path, task="instances")
