"""Two evaluations compared: by hand, against SciPy, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import segkit
from segkit.errors import UsageError
from segkit.evaluation.compare import compare
from segkit.evaluation.evaluate import evaluate
from segkit.metrics import bootstrap_interval
from tests.evaluation.conftest import WriteRecords
from tests.evaluation.known import CLASSES, Ids, KnownMasks, random_masks

Evaluated = Callable[..., Path]


def worse(predictions: Sequence[Ids], share: float, seed: int) -> list[Ids]:
    """The predictions with a share of their pixels set to the background."""
    generator = np.random.default_rng(seed)
    return [np.where(generator.random(mask.shape) < share, 0, mask).astype(np.uint8) for mask in predictions]


@pytest.fixture
def evaluated(write_records: WriteRecords, tmp_path: Path) -> Evaluated:
    def write(name: str, references: Sequence[Ids], predictions: Sequence[Ids], **given: object) -> Path:
        groups, tolerance = given.get("groups", ()), given.get("tolerance", 2.0)
        records = write_records(references, groups=groups)
        found = evaluate(KnownMasks(predictions), records, CLASSES, tolerance=tolerance)  # type: ignore[arg-type]
        found.write(tmp_path / name / "evaluation")
        return tmp_path / name

    return write


def write_rows(folder: Path, rows: Sequence[dict[str, object]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "per_image.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def rows(scores: Sequence[float | None], units: Sequence[str] = ()) -> list[dict[str, object]]:
    return [
        {
            "image": f"i{n}",
            "unit": units[n] if units else f"i{n}",
            "pixels": 100,
            "dice": "" if score is None else score,
        }
        for n, score in enumerate(scores)
    ]


def test_by_hand(tmp_path: Path) -> None:
    a = write_rows(tmp_path / "a", rows([0.5, 0.6, 0.7, None], units="xxyz"))
    b = write_rows(tmp_path / "b", rows([0.6, 0.9, 0.6, 0.4], units="xxyz"))
    found = compare(a, b)
    (dice,) = found.differences
    # Of patient x 0.55 and 0.75, of y 0.7 and 0.6; z has no score in A. +0.2 and -0.1: two of four signs reach 0.1.
    assert (found.images, found.unit, found.units) == (4, "group", 3)
    assert (dice.a, dice.b) == pytest.approx((0.625, 0.675))
    assert dice.difference == pytest.approx(0.05)
    assert dice.p == 1.0
    assert (dice.units, dice.only_a, dice.only_b, dice.interval) == (2, 0, 1, None)
    assert dice.of_units == pytest.approx({"x": 0.2, "y": -0.1})
    lines = found.describe()
    assert "the same 4 images in 3 groups; 3 units shared, the unit is the group" in lines
    assert "too few units for an interval; dice of each, B - A: x +0.200, y -0.100" in lines
    assert "dice: 0 images counted in A alone and 1 in B alone, in neither mean" in lines
    assert any(line.split() == ["dice", "0.625", "0.675", "+0.050", "1.0000", "2"] for line in lines)


def test_against_scipy(evaluated: Evaluated) -> None:
    references, predictions = random_masks(14)
    a = evaluated("a", references, worse(predictions, 0.05, 1))
    b = evaluated("b", references, worse(predictions, 0.04, 2))
    found = {difference.metric: difference for difference in compare(a, b).differences}
    tables = []
    for run in (a, b):
        with (run / "evaluation" / "per_image.csv").open() as file:
            tables.append(list(csv.DictReader(file)))
    for metric in ("dice", "dice cell", "hd95 debris", "assd cell", "nsd cell"):
        values = np.array([[float(row[metric]) for row in table] for table in tables])
        differences = values[1] - values[0]
        expected = stats.permutation_test(
            (differences,), lambda d, axis: d.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
        )
        assert found[metric].p == pytest.approx(expected.pvalue)
        assert found[metric].difference == pytest.approx(differences.mean())
        low, high = found[metric].interval or (np.nan, np.nan)
        again = bootstrap_interval(differences[:, None], lambda sums: sums[..., 0] / 14)
        assert (low, high) == pytest.approx(again)
    assert found["hd95 debris"].lower_is_better
    assert not found["nsd cell"].lower_is_better
    assert {"missed", "invented"} <= found.keys()
    assert "pixels" not in found


def test_clear_difference_has_an_interval_without_0(evaluated: Evaluated) -> None:
    references, predictions = random_masks(24)
    a, b = evaluated("a", references, worse(predictions, 0.3, 1)), evaluated("b", references, predictions)
    dice = segkit.compare(a, b).differences[0]
    assert dice.interval is not None
    assert 0 < dice.interval.low < dice.difference < dice.interval.high
    assert dice.p is not None
    assert dice.p < 0.001
    assert segkit.compare(b, a).differences[0].difference == pytest.approx(-dice.difference)
    same = segkit.compare(a, a).differences[0]
    assert (same.difference, same.interval, same.p) == (0, (0, 0), 1)


def test_json_holds_no_nan(evaluated: Evaluated) -> None:
    references, predictions = random_masks(3)
    nothing = [np.zeros_like(mask) for mask in predictions]
    a, b = evaluated("a", references, nothing), evaluated("b", references, predictions)
    plain = json.loads(json.dumps(compare(a, b).to_json(), allow_nan=False))
    by_metric = {row["metric"]: row for row in plain["differences"]}
    assert by_metric["hd95 cell"]["difference"] is None
    assert by_metric["hd95 cell"]["only_b"] == 3
    assert by_metric["missed"]["difference"] == -2
    assert (plain["units"], plain["unit"]) == (3, "image")


def test_other_images_are_refused(evaluated: Evaluated) -> None:
    references, predictions = random_masks(5)
    a, b = evaluated("a", references, predictions), evaluated("b", references[:4], predictions[:4])
    with pytest.raises(
        UsageError, match=r"different images: 4 units with 4 images shared, 1 only in the first, 0 only"
    ):
        compare(a, b)


def test_other_references_and_groups_are_refused(evaluated: Evaluated) -> None:
    references, predictions = random_masks(4)
    a = evaluated("a", references, predictions)
    grouped = evaluated("b", references, predictions, groups=["p", "p", "q", "q"])
    with pytest.raises(UsageError, match=r"set/00 is not the same in both: its unit is set/00 in .*a and p in .*b"):
        compare(a, grouped)
    references[1][0, :3] = 255
    relabelled = evaluated("c", references, predictions)
    with pytest.raises(UsageError, match=r"set/01 is not the same in both: its pixels is"):
        compare(a, relabelled)


def test_other_tolerances_are_refused(evaluated: Evaluated) -> None:
    references, predictions = random_masks(4)
    a, b = (evaluated(str(distance), references, predictions, tolerance=distance) for distance in (1.0, 3.0))
    with pytest.raises(UsageError, match=r"tolerance 1.0 in .*, 3.0 in .*; evaluate both with the same --tolerance"):
        compare(a, b)


def test_folders_without_a_readable_evaluation_are_refused(tmp_path: Path) -> None:
    a = write_rows(tmp_path / "a", rows([0.5, 0.6]))
    with pytest.raises(UsageError, match=r"nowhere holds no evaluation: there is no per_image.csv in it nor in its"):
        compare(a, tmp_path / "nowhere")
    other = write_rows(tmp_path / "other", [{"image": "i0", "dice": 1}, {"image": "i1", "dice": 1}])
    with pytest.raises(UsageError, match="is damaged or of another program"):
        compare(a, other)
    words = write_rows(tmp_path / "words", [{**row, "dice": "good"} for row in rows([0.5, 0.6])])
    with pytest.raises(UsageError, match=r"words: the column 'dice' holds what is no number"):
        compare(a, words)
    labels = write_rows(tmp_path / "labels", [{"image": f"i{n}", "unit": f"i{n}", "pixels": 100} for n in range(2)])
    with pytest.raises(UsageError, match="is damaged or of another program"):
        compare(a, labels)
