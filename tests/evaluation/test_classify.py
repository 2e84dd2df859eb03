from __future__ import annotations

import numpy as np
import pytest

from segkit.errors import DataError
from segkit.evaluation.evaluate import evaluate
from segkit.structures import ClassMap, Record
from tests.evaluation.conftest import WriteRecords
from tests.evaluation.known import KnownProbabilities

NAMES = ("ant", "bee", "cat")
IMAGES = [np.zeros((8, 8), np.uint8)] * 30


def test_scores_by_hand(write_records: WriteRecords) -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5]], np.float32)
    classes = ClassMap(NAMES, background=None)
    records = write_records(IMAGES[:4], labels=["ant", "bee", "bee", "bee"])
    found = evaluate(KnownProbabilities(probabilities, classes), records, classes)
    assert found.score == 0.5
    assert found.scores["metric"] == "top-1 accuracy"
    assert found.scores["dataset"]["top_5"] is None
    assert found.scores["dataset"]["mean_f1"]["value"] == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert found.confusion is not None
    assert found.confusion.tolist() == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    bee = found.scores["classes"][1]
    assert (bee["images"], bee["predicted"], bee["correct"]) == (3, 1, 1)
    assert (bee["precision"]["value"], bee["recall"]["value"]) == (1, pytest.approx(1 / 3))
    cat = found.scores["classes"][2]
    assert (cat["precision"]["value"], cat["recall"]["value"]) == (0, None)
    assert [row["predicted"] for row in found.per_image] == ["ant", "ant", "bee", "cat"]
    assert found.scores["unit_scores"] == {"set/00": 1, "set/01": 0, "set/02": 1, "set/03": 0}
    assert [(e.rank, e.image, e.caption) for e in found.examples][:2] == [
        ("worst", "set/03", "bee, predicted cat"),
        ("worst", "set/01", "bee, predicted ant"),
    ]


def test_top_5_and_interval(write_records: WriteRecords) -> None:
    classes = ClassMap(tuple("abcdefgh"), background=None)
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(8), 30).astype(np.float32)
    labels = generator.integers(0, 8, 30)
    records = write_records(IMAGES, labels=[classes.names[label] for label in labels])
    scores = evaluate(KnownProbabilities(probabilities, classes), records, classes).scores
    order = np.argsort(-probabilities, axis=1)
    assert scores["score"] == pytest.approx((order[:, 0] == labels).mean())
    top_5 = scores["dataset"]["top_5"]
    assert top_5["value"] == pytest.approx((order[:, :5] == labels[:, None]).any(axis=1).mean())
    assert top_5["interval"][0] < top_5["value"] < top_5["interval"][1]


def test_classes_have_intervals_over_groups(write_records: WriteRecords) -> None:
    """A class has one where at least ten units say something about the score: of 12 groups all hold class 0."""
    classes = ClassMap(NAMES, background=None)
    labels = ["ant" if number % 5 < 3 else "bee" for number in range(30)]
    probabilities = np.tile(np.array([[0.6, 0.4, 0.0], [0.3, 0.7, 0.0]], np.float32), (15, 1))
    groups = [f"patient {number % 12}" for number in range(30)]
    records = write_records(IMAGES, labels=labels, groups=groups)
    scores = evaluate(KnownProbabilities(probabilities, classes), records, classes).scores
    assert (scores["unit"], scores["units"]) == ("group", 12)
    ant, _, cat = scores["classes"]
    right = sum(labels[number] == "ant" for number in range(0, 30, 2))
    assert ant["precision"]["value"] == pytest.approx(right / 15)
    assert ant["recall"]["value"] == pytest.approx(right / 18)
    assert ant["recall"]["interval"][0] < ant["recall"]["value"] < ant["recall"]["interval"][1]
    assert ant["precision"]["interval"] is None, "only six of the groups are predicted as it"
    assert cat["f1"] == cat["recall"] == {"value": None, "interval": None}


def test_record_without_label_is_refused(write_records: WriteRecords) -> None:
    classes = ClassMap(NAMES, background=None)
    unlabelled = Record("x", write_records(IMAGES[:1])[0].image)
    with pytest.raises(DataError, match="x has no label"):
        evaluate(KnownProbabilities(np.eye(3, dtype=np.float32), classes), [unlabelled], classes)
