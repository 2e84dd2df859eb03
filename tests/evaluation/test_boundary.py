"""Outlines in an evaluation: which images count, what was missed and invented, units of length, files."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from segkit.data.opening import open_dataset
from segkit.data.samples import load_sample
from segkit.evaluation.evaluate import evaluate
from segkit.evaluation.result import Evaluation
from segkit.evaluation.segment import SegmentationTally
from segkit.experiment.scores import LISTED_CLASSES, describe_scores
from segkit.metrics import bootstrap_interval, boundary_scores
from segkit.structures import ClassMap, Record, Sample
from tests.evaluation.conftest import WriteRecords
from tests.evaluation.known import CLASSES, Ids, KnownMasks, random_masks


def square(value: int, left: int) -> Ids:
    mask = np.zeros((12, 16), np.uint8)
    mask[4:7, left : left + 3] = value
    return mask


# Of cell (10): moved by 2, exact, missed, absent from both. Of debris (20): invented in the third and nowhere else.
REFERENCES = [square(10, 3), square(10, 3), square(10, 3), square(0, 3)]
PREDICTIONS = [square(10, 5), square(10, 3), square(20, 3), square(0, 3)]


def of_spacings(spacings: Sequence[tuple[float, float] | None]) -> SegmentationTally:
    """The first reference and prediction once per spacing."""
    tally = SegmentationTally(CLASSES, tolerance=1.0)
    reference, prediction = (CLASSES.ids_to_indices(mask) for mask in (REFERENCES[0], PREDICTIONS[0]))
    for number, spacing in enumerate(spacings):
        record = Record(f"slice{number}", Path("slice.tif"))
        tally.add(Sample(record, np.zeros((12, 16, 1), np.uint8), reference, spacing=spacing), prediction)
    return tally


def test_missed_and_invented_are_counted_and_in_no_mean(write_records: WriteRecords) -> None:
    scores = evaluate(KnownMasks(PREDICTIONS), write_records(REFERENCES), CLASSES, tolerance=1).scores
    background, cell, debris = scores["classes"]
    # 3 x 3 squares: outlines of 8 pixels, moved by 2: three pixels 2 away, two 1 away, three on the other's.
    assert cell["boundary"]["assd"]["value"] == pytest.approx((8 / 8 + 0) / 2)
    assert cell["boundary"]["hd95"]["value"] == pytest.approx((2 + 0) / 2)
    assert cell["boundary"]["nsd"]["value"] == pytest.approx((5 / 8 + 1) / 2)
    assert {name: cell["boundary"][name] for name in ("images_counted", "missed", "invented")} == {
        "images_counted": 2,
        "missed": 1,
        "invented": 0,
    }
    assert debris["boundary"]["hd95"]["value"] is None
    assert (debris["boundary"]["missed"], debris["boundary"]["invented"]) == (0, 1)
    assert background["boundary"] is None
    whole = scores["boundary"]
    assert (whole["unit"], whole["tolerance"], whole["missed"], whole["invented"]) == ("pixels", 1, 1, 1)
    assert whole["hd95"]["value"] == cell["boundary"]["hd95"]["value"]  # debris has no mean to be averaged with


def test_rows_of_the_images(write_records: WriteRecords, tmp_path: Path) -> None:
    found = evaluate(KnownMasks(PREDICTIONS), write_records(REFERENCES), CLASSES, tolerance=1)
    found.write(tmp_path / "out")
    with (tmp_path / "out" / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["hd95 cell"] for row in rows] == ["2.0", "0.0", "", ""]
    assert [(row["missed"], row["invented"]) for row in rows] == [("0", "0"), ("0", "0"), ("1", "1"), ("0", "0")]
    assert {row["boundary_unit"] for row in rows} == {"pixels"}
    assert not any("background" in column for column in rows[0] if column.split()[0] in ("hd95", "assd", "nsd"))
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["boundary"] == found.scores["boundary"]


def test_interval_is_the_bootstrap_over_units(write_records: WriteRecords) -> None:
    references, predictions = random_masks(24)
    groups = [f"patient {number % 12}" for number in range(24)]
    scores = evaluate(KnownMasks(predictions), write_records(references, groups=groups), CLASSES).scores
    values = np.array(
        [
            boundary_scores(reference == 10, (prediction == 10) & (reference != 255)).assd
            for reference, prediction in zip(references, predictions, strict=True)
        ]
    )
    by_group = np.stack([values[:12] + values[12:], np.full(12, 2.0)], axis=1)
    cell = scores["classes"][1]["boundary"]["assd"]
    assert cell["value"] == pytest.approx(values.mean())
    assert cell["interval"] == pytest.approx(bootstrap_interval(by_group, lambda sums: sums[..., 0] / sums[..., 1]))
    both = [scores["classes"][index]["boundary"]["assd"]["value"] for index in (1, 2)]
    assert scores["boundary"]["assd"]["value"] == pytest.approx(np.mean(both))


def test_below_ten_units_that_count_there_is_no_interval(write_records: WriteRecords) -> None:
    references, predictions = random_masks(14)
    for prediction in predictions[:5]:
        prediction[prediction == 20] = 0
    cell, debris = evaluate(KnownMasks(predictions), write_records(references), CLASSES).scores["classes"][1:]
    assert cell["boundary"]["hd95"]["interval"] is not None
    assert debris["boundary"]["hd95"]["interval"] is None
    assert (debris["boundary"]["images_counted"], debris["boundary"]["missed"]) == (9, 5)


def test_millimetres_where_the_images_state_their_spacing() -> None:
    found = of_spacings([(1.0, 0.5), (1.0, 0.5)]).scores(quick=False)
    assert found["boundary"]["unit"] == "mm"
    cell = found["classes"][1]["boundary"]
    assert cell["hd95"]["value"] == pytest.approx(1.0)  # two columns of half a millimetre
    assert cell["nsd"]["value"] == 1.0


def test_millimetres_and_pixels_have_no_mean() -> None:
    tally = of_spacings([(1.0, 0.5), None])
    found = tally.scores(quick=False)
    assert found["boundary"]["unit"] is None
    assert found["boundary"]["hd95"] == {"value": None, "interval": None}
    assert [row["boundary_unit"] for row in tally.rows()] == ["mm", "pixels"]
    evaluation = Evaluation("segment", CLASSES, found, tally.rows(), tally.confusion)
    assert any("some images state their spacing and some do not" in line for line in describe_scores(evaluation))


def test_lines_for_people(write_records: WriteRecords) -> None:
    found = evaluate(KnownMasks(PREDICTIONS), write_records(REFERENCES), CLASSES, tolerance=1)
    lines = describe_scores(found)
    assert "outlines, distances in pixels, NSD at 1 pixels:" in lines
    assert "  cell    HD95 1.000  ASSD 0.500  NSD 0.812  (2 images, missed in 1, invented in 0)" in lines
    assert (
        "  debris  HD95 not counted  ASSD not counted  NSD not counted  (0 images, missed in 0, invented in 1)" in lines
    )


def test_classes_that_nothing_shows_have_no_line(write_records: WriteRecords) -> None:
    more = ClassMap((*CLASSES.names, "fibre"), ids=(*CLASSES.ids, 30))
    lines = describe_scores(evaluate(KnownMasks(PREDICTIONS, more), write_records(REFERENCES), more, tolerance=1))
    rows = [line.split()[0] for line in lines if line.startswith("  ")]
    assert rows == [*CLASSES.names, *CLASSES.names[1:]]
    assert lines[-1] == "not in the means, absent from reference and prediction: fibre"


def test_of_very_many_classes_the_first_have_a_line(write_records: WriteRecords) -> None:
    many = ClassMap(("background", *(f"c{number}" for number in range(1, 100))))
    masks = [np.arange(100, dtype=np.uint8).reshape(10, 10)] * 2
    lines = describe_scores(evaluate(KnownMasks(masks, many), write_records(masks), many, quick=True))
    assert sum(line.startswith("  c") for line in lines) == LISTED_CLASSES - 1
    assert lines[-1] == "  and 60 more classes, in metrics.json"


def test_quick_leaves_outlines_alone(write_records: WriteRecords) -> None:
    found = evaluate(KnownMasks(PREDICTIONS), write_records(REFERENCES), CLASSES, quick=True)
    assert found.scores["boundary"] is None
    assert "missed" not in found.per_image[0]


def test_real_slices_moved_by_a_voxel_lie_that_many_millimetres_apart(
    datasets: Callable[[str], Path], tmp_path: Path
) -> None:
    for kind in ("images", "labels"):  # one volume of 260, which take long to scan
        (tmp_path / kind).mkdir()
        name = f"{kind}/hippocampus_001.nii.gz"
        shutil.copy(datasets("hippocampus_nifti") / name, tmp_path / name)
    dataset = open_dataset(tmp_path)
    tally = SegmentationTally(dataset.classes, tolerance=1.0)
    for record in dataset.records:
        sample = load_sample(record, dataset.classes)
        assert sample.mask is not None
        tally.add(sample, np.roll(sample.mask, 1, axis=1))
    found = tally.scores(quick=False)
    assert found["boundary"]["unit"] == "mm"  # voxels of 1 mm
    for row in found["classes"][1:]:
        # Never more than the voxel moved by, and less where an outline runs along the move.
        assert 0.9 < row["boundary"]["hd95"]["value"] <= 1
        assert 0.5 < row["boundary"]["assd"]["value"] < 1
        assert row["boundary"]["nsd"]["value"] == 1
        assert (row["boundary"]["missed"], row["boundary"]["invented"]) == (0, 0)
