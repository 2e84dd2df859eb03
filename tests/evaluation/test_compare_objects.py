"""Comparisons of detectors, of networks that find objects, and of several heads: each image with itself."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from segkit.errors import UsageError
from segkit.evaluation.compare import compare
from segkit.evaluation.evaluate import evaluate_heads
from segkit.structures import TaskName
from tests.evaluation.coco_set import predictor_of, records, write_set

Evaluated = Callable[..., Path]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """Evaluate what is found from the score `least` on, by one head or several, and name the run's folder."""
    folder = tmp_path_factory.mktemp("runs")
    root = write_set(folder / "set")

    def write(name: str, tasks: Sequence[TaskName], least: float = 0, threshold: float = 0.5, count: int = 6) -> Path:
        predictor = predictor_of(tasks, least, threshold)
        found = evaluate_heads(predictor, records(root, "instances")[:count], predictor.heads)
        for number, (task, evaluation) in enumerate(found.items()):
            evaluation.write(folder / name / "evaluation" / (task if number else ""))
        return folder / name

    return write


def columns(run: Path, name: str, head: str = "") -> np.ndarray:
    with (run / "evaluation" / head / "per_image.csv").open() as file:
        return np.array([float(row[name] or "nan") for row in csv.DictReader(file)])


def test_detectors(evaluated: Evaluated) -> None:
    a, b = evaluated("a", ["detect"]), evaluated("b", ["detect"], least=0.6, threshold=0.6)
    found = compare(a, b)
    by_metric = {difference.metric: difference for difference in found.differences}
    assert set(by_metric) == {"f1", "missed", "invented"}
    # The fourth image shows nothing: its box of 0.55 is invented in A, and B says nothing of it.
    assert (by_metric["f1"].units, by_metric["f1"].only_a, by_metric["f1"].only_b) == (5, 1, 0)
    both = np.stack([columns(a, "f1"), columns(b, "f1")])[:, [0, 1, 2, 4, 5]]
    assert (by_metric["f1"].a, by_metric["f1"].b) == pytest.approx(both.mean(axis=1))
    expected = stats.permutation_test(
        (both[1] - both[0],), lambda d, axis: d.mean(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert by_metric["f1"].p == pytest.approx(expected.pvalue)
    assert by_metric["missed"].lower_is_better
    assert by_metric["missed"].difference == pytest.approx(np.mean(columns(b, "missed") - columns(a, "missed")))
    lines = found.describe()
    assert "boxes count from a score of 0.5 on in A, 0.6 in B" in lines
    (ranked,) = (line for line in lines if line.startswith("AP, of the objects of all images ranked together"))
    assert "without p: A 0." in ranked
    assert found.task == "detect"


def test_objects(evaluated: Evaluated) -> None:
    a, b = evaluated("objects-a", ["instances"]), evaluated("objects-b", ["instances"], least=0.6)
    found = compare(a, b)
    by_metric = {difference.metric: difference for difference in found.differences}
    assert set(by_metric) == {"ap50", "missed", "invented", "count_error"}
    assert by_metric["count_error"].lower_is_better
    assert by_metric["count_error"].units == 5  # there is nothing to count in the fourth image
    values = columns(a, "ap50"), columns(b, "ap50")
    both = ~np.isnan(values).any(axis=0)
    assert by_metric["ap50"].difference == pytest.approx((values[1] - values[0])[both].mean())
    assert found.ranked is not None
    assert found.ranked[0] == "COCO's AP"
    assert found.thresholds is None
    assert found.to_json()["ranked"][1]["value"] > found.to_json()["ranked"][2]["value"] > 0


def test_several_heads_are_compared_one_by_one(evaluated: Evaluated) -> None:
    a = evaluated("heads-a", ["instances", "detect"])
    b = evaluated("heads-b", ["instances", "detect"], least=0.6)
    found = compare(a, b)
    assert (found.task, [head.task for head in found.further]) == ("instances", ["detect"])
    assert found.differences == compare(evaluated("c", ["instances"]), b).differences
    assert found.further[0].differences[0].metric == "f1"
    lines = found.describe()
    titles = [line for line in lines if line.startswith("to ")]
    assert titles == [f"to {task}: the same 6 images; 6 units shared, the unit is the image" for task in found_heads(a)]
    plain = found.to_json()
    assert plain["further"][0]["task"] == "detect"
    assert plain["further"][0]["differences"][0]["units"] == 5


def found_heads(run: Path) -> list[str]:
    return ["instances", *(path.name for path in (run / "evaluation").iterdir() if (path / "metrics.json").exists())]


def test_a_head_that_one_lacks_is_named(evaluated: Evaluated) -> None:
    a, b = evaluated("two", ["instances", "detect"]), evaluated("one", ["detect"], least=0.6)
    found = compare(a, b)
    assert (found.task, found.further, found.heads_in_one) == ("detect", (), ("instances",))
    assert found.describe()[-1] == "heads of one of them alone, so not compared: instances"


def test_other_tasks_and_other_objects_are_refused(evaluated: Evaluated) -> None:
    boxes, objects = evaluated("boxes", ["detect"]), evaluated("objects", ["instances"])
    with pytest.raises(
        UsageError, match=r"boxes was scored to detect, .*objects to instances: no score in common"
    ) as e:
        compare(boxes, objects)
    assert "\n" not in str(e.value)
    fewer = evaluated("fewer", ["detect"], count=5)
    with pytest.raises(UsageError, match="different images: 5 units with 5 images shared, 1 only in the first"):
        compare(boxes, fewer)
    table = fewer / "evaluation" / "per_image.csv"
    table.write_text((boxes / "evaluation" / "per_image.csv").read_text().replace("1,1,4,", "1,1,3,", 1))
    with pytest.raises(UsageError, match=r"1 is not the same in both: its objects is 4 in .* and 3 in "):
        compare(boxes, fewer)
