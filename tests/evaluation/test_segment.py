from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.image_io import write_mask
from segkit.errors import DataError, UsageError
from segkit.evaluation.evaluate import evaluate, evaluate_masks
from segkit.structures import ClassMap, Record
from tests.evaluation.conftest import WriteRecords
from tests.evaluation.known import CLASSES, KnownMasks, random_masks

REFERENCES = [
    np.array([[0, 0], [10, 255]], np.uint8),
    np.array([[0, 0], [0, 10]], np.uint8),
    np.zeros((2, 2), np.uint8),
]
PREDICTIONS = [
    np.array([[0, 10], [10, 20]], np.uint8),
    np.array([[0, 0], [0, 0]], np.uint8),
    np.zeros((2, 2), np.uint8),
]


def test_scores_by_hand(write_records: WriteRecords) -> None:
    found = evaluate(KnownMasks(PREDICTIONS), write_records(REFERENCES), CLASSES)
    # Background: 2 + 3 + 4 - 1 hits. Cell: one hit, one invented, one missed. Debris only where it is ignored.
    assert found.confusion is not None
    assert found.confusion.tolist() == [[8, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert found.score == pytest.approx(2 * 1 / (2 + 2))
    scores = found.scores
    assert scores["dataset"]["mean_iou"]["value"] == pytest.approx((8 / 10 + 1 / 3) / 2)
    assert scores["dataset"]["pixel_accuracy"]["value"] == pytest.approx(9 / 11)
    assert scores["without_union"] == ["debris"]
    cell = scores["classes"][1]
    assert cell["image_dice"]["value"] == pytest.approx((2 / 3 + 0) / 2)
    assert (cell["images_counted"], cell["images_both_empty"]) == (2, 1)
    assert (cell["reference_pixels"], cell["predicted_pixels"]) == (2, 2)
    assert scores["image"]["mean_foreground_dice"]["value"] == pytest.approx(1 / 3)
    assert [row["dice"] for row in found.per_image] == [pytest.approx(2 / 3), 0.0, None]
    assert [row["pixels"] for row in found.per_image] == [3, 4, 4]


def test_below_ten_units_values_are_listed_and_no_interval_is_claimed(write_records: WriteRecords) -> None:
    scores = evaluate(KnownMasks(PREDICTIONS), write_records(REFERENCES), CLASSES).scores
    assert (scores["unit"], scores["units"], scores["interval"]) == ("image", 3, None)
    assert scores["unit_scores"] == {"set/00": pytest.approx(2 / 3), "set/01": 0.0, "set/02": None}


def test_interval_surrounds_the_score(write_records: WriteRecords) -> None:
    references, predictions = random_masks(24)
    scores = evaluate(KnownMasks(predictions), write_records(references), CLASSES).scores
    low, high = scores["interval"]
    assert low < scores["score"] < high
    assert high - low < 0.1
    assert scores["unit_scores"] is None


def test_class_held_by_few_units_has_no_interval(write_records: WriteRecords) -> None:
    references, predictions = random_masks(14)
    for number in range(14):
        if number > 8:
            references[number][references[number] == 20] = 0
            predictions[number][predictions[number] == 20] = 0
    cell, debris = evaluate(KnownMasks(predictions), write_records(references), CLASSES).scores["classes"][1:]
    assert cell["dice"]["interval"] is not None
    assert debris["dice"]["interval"] is None
    assert debris["image_dice"]["interval"] is None
    assert debris["images_both_empty"] == 5


def test_groups_are_the_units(write_records: WriteRecords) -> None:
    references, predictions = random_masks(24)
    records = write_records(references, groups=[f"patient {number % 4}" for number in range(24)])
    scores = evaluate(KnownMasks(predictions), records, CLASSES).scores
    assert (scores["unit"], scores["units"], scores["images"]) == ("group", 4, 24)
    assert scores["interval"] is None
    assert list(scores["unit_scores"]) == [f"patient {number}" for number in range(4)]


def test_equals_the_scores_of_the_written_masks(write_records: WriteRecords, tmp_path: Path) -> None:
    references, predictions = random_masks(12)
    records = write_records(references)
    for record, prediction in zip(records, predictions, strict=True):
        path = tmp_path / "predicted" / f"{record.id}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_mask(path, prediction, CLASSES)
    direct = evaluate(KnownMasks(predictions), records, CLASSES)
    from_files = evaluate_masks(tmp_path / "predicted", records, CLASSES)
    assert from_files.scores == direct.scores
    np.testing.assert_array_equal(from_files.confusion, direct.confusion)


def test_quick_gives_the_same_score_without_intervals_and_pictures(write_records: WriteRecords) -> None:
    references, predictions = random_masks(12)
    predictor = KnownMasks(predictions)
    quick = evaluate(predictor, write_records(references), CLASSES, quick=True)
    assert predictor.calls == 12
    assert quick.scores["interval"] is None
    assert quick.examples == ()
    assert quick.score == evaluate(predictor, write_records(references), CLASSES).score


def test_written_files(write_records: WriteRecords, tmp_path: Path) -> None:
    references, predictions = random_masks(12)
    found = evaluate(KnownMasks(predictions), write_records(references), CLASSES)
    folder = found.write(tmp_path / "run" / "evaluation")
    assert json.loads((folder / "metrics.json").read_text()) == found.scores
    with (folder / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [f"set/{number:02d}" for number in range(12)]
    assert float(rows[3]["dice cell"]) == found.per_image[3]["dice cell"]
    with (folder / "confusion_matrix.csv").open(newline="") as file:
        header, *table = csv.reader(file)
    assert header[1:] == list(CLASSES.names)
    assert found.confusion is not None
    assert [[int(count) for count in row[1:]] for row in table] == found.confusion.tolist()
    assert sorted(path.name for path in (folder / "overlays").iterdir()) == sorted(
        f"{rank}-{position}.png" for rank in ("worst", "median", "best") for position in (1, 2, 3)
    )
    with Image.open(folder / "overlays" / "worst-1.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), found.examples[0].picture)


def test_examples_are_ranked_by_their_score(write_records: WriteRecords) -> None:
    references, predictions = random_masks(12)
    found = evaluate(KnownMasks(predictions), write_records(references), CLASSES)
    ordered = sorted(row["dice"] for row in found.per_image)
    by_rank = {rank: [e.score for e in found.examples if e.rank == rank] for rank in ("worst", "median", "best")}
    assert by_rank == {"worst": ordered[:3], "median": ordered[4:7], "best": ordered[:-4:-1]}


def test_progress_is_told_after_every_image(write_records: WriteRecords) -> None:
    calls: list[tuple[int, int]] = []
    evaluate(KnownMasks(PREDICTIONS), write_records(REFERENCES), CLASSES, lambda *call: calls.append(call), quick=True)
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_bad_input_is_refused(write_records: WriteRecords, tmp_path: Path) -> None:
    records = write_records(REFERENCES)
    predictor = KnownMasks(PREDICTIONS)
    with pytest.raises(DataError, match="no image to evaluate on"):
        evaluate(predictor, [], CLASSES)
    with pytest.raises(DataError, match="lonely has no mask"):
        evaluate(predictor, [Record("lonely", records[0].image)], CLASSES)
    with pytest.raises(UsageError, match=r"model's classes are background, cell, debris, the data's background, nerve"):
        evaluate(predictor, records, ClassMap(("background", "nerve")))
    with pytest.raises(DataError, match=r"set/00: the predicted mask is 3 x 2 pixels, the reference 2 x 2"):
        evaluate(KnownMasks([np.zeros((2, 3), np.uint8)]), records, CLASSES)


def test_written_mask_with_unknown_id_is_refused(write_records: WriteRecords, tmp_path: Path) -> None:
    records = write_records(REFERENCES[:1])
    (tmp_path / "predicted" / "set").mkdir(parents=True)
    Image.fromarray(np.full((2, 2), 3, np.uint8)).save(tmp_path / "predicted" / "set" / "00.png")
    with pytest.raises(DataError, match=r"00\.png holds values that are no class id; allowed are 0, 10, 20"):
        evaluate_masks(tmp_path / "predicted", records, CLASSES)


def test_camvid_predicted_as_it_is_labelled(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    """Void is 11 in the files and counted nowhere: whatever is predicted there, the scores are perfect."""
    folder = datasets("camvid")
    classes = ClassMap(
        tuple(f"class {index}" for index in range(11)),
        values={**{index: index for index in range(11)}, 11: -1},
        background=None,
    )
    images = sorted((folder / "test").iterdir())[:4]
    records = [Record(image.stem, image, folder / "testannot" / f"{image.stem}.png") for image in images]
    void = 0
    for record in records:
        assert isinstance(record.mask, Path)
        labels = np.asarray(Image.open(record.mask))
        void += int((labels == 11).sum())
        write_mask(tmp_path / f"{record.id}.png", np.where(labels == 11, 3, labels).astype(np.uint8), classes)
    found = evaluate_masks(tmp_path, records, classes, quick=True)
    assert found.score == 1.0
    assert found.confusion is not None
    assert found.confusion.sum() == 4 * 360 * 480 - void
    assert void > 0
