"""What heads learn of a crop: boxes and objects as the crop and its augmentation show them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segkit.data.augment import Augmenter, PresetName
from segkit.data.crop import Window
from segkit.data.dataset import TrainingSet
from segkit.data.loader import Draw, collate
from segkit.data.motion import Flip
from segkit.data.targets import View, box_targets, object_targets
from segkit.ops.boxes import boxes_of_ids
from segkit.pipeline import Pipeline
from segkit.structures import IGNORE_INDEX, Annotation, Boxes, ClassMap, MaskFile, ObjectAnnotation, Record, TaskName

DETECT = ClassMap(("even", "odd"), background=None)
INSTANCES = ClassMap(("ground", "even", "odd"), values={0: 0, **{number: 1 + number % 2 for number in range(1, 13)}})
NUMBERS = ClassMap(tuple(map(str, range(13))))
PIPELINE = Pipeline(channels=1, mean=(0.0,), std=(1.0,), high=255)
COUNT = 12


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Round objects, each a class of the mask, and marked as even or odd by that class."""
    folder = tmp_path_factory.mktemp("objects")
    numbers = np.zeros((96, 128), np.uint8)
    for index in range(COUNT):
        cv2.circle(numbers, (16 + 32 * (index % 4), 16 + 32 * (index // 4)), 5 + index % 8, index + 1, -1)
    cv2.imwrite(str(folder / "image.png"), numbers)
    objects = tuple(
        ObjectAnnotation(("odd", "even")[index % 2], None, MaskFile(folder / "image.png", index + 1))
        for index in range(COUNT)
    )
    return Record("a", folder / "image.png", folder / "image.png", annotation=Annotation(objects, folder / "image.png"))


def numbers_in(item: dict[str, torch.Tensor]) -> NDArray[np.int32]:
    """The numbers of the objects in a crop: its mask, which has a class for each."""
    return item["mask"].numpy().astype(np.int32)


@pytest.mark.parametrize("margin", [0, 9])
@pytest.mark.parametrize("crop", [(48, 48), (40, 72), (128, 160)])
def test_boxes_of_a_crop_are_those_of_the_numbers_it_shows(record: Record, crop: tuple[int, int], margin: int) -> None:
    pipeline = PIPELINE.model_copy(update={"margin": margin})
    training = TrainingSet([record], {"segment": NUMBERS, "detect": DETECT}, pipeline, Augmenter("none", 1), crop)
    for position in range(15):
        item = training[Draw(0, position, 0)]
        numbers = numbers_in(item)
        for box, label in zip(item["boxes"].tolist(), item["box_label"].tolist(), strict=True):
            if label != IGNORE_INDEX:
                found = {tuple(one) for one in boxes_of_ids(numbers, COUNT)[label ^ 1 :: 2].tolist()}
                assert tuple(box) in found


@pytest.mark.parametrize("preset", ["none", "standard", "strong"])
def test_every_pixel_of_objects_is_in_a_box_or_region(record: Record, preset: PresetName) -> None:
    heads: dict[TaskName, ClassMap] = {"segment": NUMBERS, "detect": DETECT}
    augmenter = Augmenter(preset, 1, orientation_free=True)
    training, lost = TrainingSet([record], heads, PIPELINE, augmenter, (64, 64)), []
    for position in range(40):
        item = training[Draw(0, position, 0)]
        missing = numbers_in(item) > 0
        for left, top, right, bottom in np.round(item["boxes"].numpy()).astype(int).tolist():
            missing[max(top - 3, 0) : bottom + 3, max(left - 3, 0) : right + 3] = False
        lost.append(missing.mean())
    assert max(lost) <= (0.01 if preset == "strong" else 0)  # a few pixels that bending alone mirrors


@pytest.mark.parametrize("preset", ["none", "light", "standard", "strong"])
def test_rows_of_boxes_belong_to_the_numbers_of_objects(record: Record, preset: PresetName) -> None:
    heads: dict[TaskName, ClassMap] = {"segment": NUMBERS, "instances": INSTANCES}
    augmenter = Augmenter(preset, 1, orientation_free=True)
    training = TrainingSet([record], heads, PIPELINE, augmenter, (64, 64), instance_targets="objects")
    items = [training[Draw(0, position, 0)] for position in range(20)]
    for item in items:
        assert list(item) == ["image", "mask", "instances", "boxes", "box_label"]
        ids, numbers = item["instances"].numpy(), numbers_in(item)
        assert ids.max() == len(item["boxes"]) == len(item["box_label"])
        np.testing.assert_array_equal(item["boxes"], boxes_of_ids(ids.astype(np.int32), int(ids.max())))
        for number, label in enumerate(item["box_label"].tolist(), start=1):
            (value,) = set(numbers[ids == number].tolist())
            assert label == 1 + value % 2
    batch = collate(items)
    assert batch["instances"].shape == (20, 64, 64)
    assert batch["boxes"].shape == (20, max(len(item["boxes"]) for item in items), 4)


def test_objects_of_which_little_shows_are_neither_object_nor_background() -> None:
    ids = np.zeros((20, 20), np.int32)
    ids[4:8, 0:3], ids[10:14, 0:3], ids[15:18, 15:18] = 1, 2, 4
    whole = Boxes(
        np.array([[-3, 4, 3, 8], [-4, 10, 3, 14], [40, 40, 44, 44], [15, 15, 18, 18]], np.float32), np.arange(4)
    )
    found = object_targets(ids, whole, View(Window(0, 0, 20, 20), (90, 90), (20, 20), 0, ()))
    assert found["boxes"].tolist() == [[0, 4, 3, 8], [15, 15, 18, 18]]
    assert found["box_label"].tolist() == [0, 3]
    expected = np.select([ids == 1, ids == 2, ids == 4], [1, IGNORE_INDEX, 2])
    np.testing.assert_array_equal(found["instances"], expected)


def test_boxes_follow_window_resizing_and_moves_and_lose_the_margin() -> None:
    boxes = Boxes(np.array([[12, 14, 16, 20], [90, 90, 95, 95]], np.float32), np.array([1, 0]))
    view = View(Window(10, 10, 20, 20), (100, 100), (40, 40), 4, (Flip(sideways=False),))
    found = box_targets(boxes, view)
    assert found["boxes"].tolist() == [[0, 16, 8, 28]]  # 2..6 x 4..10 in the window, twice that resized, upside down
    assert found["box_label"].tolist() == [1]


def test_unknown_boxes_are_one_region_and_no_objects_none(record: Record) -> None:
    view = View(Window(0, 0, 20, 30), (20, 30), (20, 30), 0, ())
    found = box_targets(None, view)
    assert (found["boxes"].tolist(), found["box_label"].tolist()) == ([[0, 0, 30, 20]], [IGNORE_INDEX])
    none = box_targets(Boxes(np.empty((0, 4), np.float32), np.empty(0, np.int64)), view)
    assert (none["boxes"].shape, none["box_label"].dtype) == ((0, 4), torch.int64)
    with pytest.raises(ValueError, match="not learnt beside a head of boxes"):
        TrainingSet(
            [record],
            {"instances": INSTANCES, "detect": DETECT},
            PIPELINE,
            Augmenter("none", 1),
            (8, 8),
            instance_targets="objects",
        )
