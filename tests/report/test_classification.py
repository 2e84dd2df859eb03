"""The page of a classification: classes, confusions, and the labels beside the pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.evaluation.evaluate import evaluate
from segkit.report import write_report
from segkit.structures import ClassMap, Record
from tests.evaluation.known import KnownProbabilities
from tests.report.test_write import Page

NAMES = ("ant <i>x</i>", "bee", "cat")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Twelve images, four of each class; the first is a bee taken for a cat with p = 0.900."""
    classes = ClassMap(NAMES, background=None)
    labels = ["bee"] + [NAMES[number % 3] for number in range(11)]
    probabilities = np.full((12, 3), 0.1, np.float32)
    probabilities[np.arange(12), [NAMES.index(label) for label in labels]] = 0.8
    probabilities[0] = 0.025, 0.075, 0.9
    records = []
    for number, label in enumerate(labels):
        Image.fromarray(np.full((9, 12), number, np.uint8)).save(tmp_path / f"{number}.png")
        records.append(Record(f"photo {number}", tmp_path / f"{number}.png", label=label))
    folder = tmp_path / "run"
    evaluate(KnownProbabilities(probabilities, classes), records, classes).write(folder / "evaluation")
    return folder


def test_labels_stand_beside_the_pictures(run_folder: Path) -> None:
    html = write_report(run_folder).read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert "photo 0 True class bee p = 0.075 Predicted cat p = 0.900" in page.text
    assert "True class ant <i>x</i> p = 0.800 Predicted ant <i>x</i>" in page.text
    assert html.count('<dl class="wrong">') == 1
    assert len([link for link in page.links if link.startswith("data:")]) == 9


def test_classes_have_precision_recall_and_f1(run_folder: Path) -> None:
    """Of 5 bees 4 are found; of 4 predicted cats 3 are cats."""
    text = Page(write_report(run_folder).read_text(encoding="utf-8")).text
    assert "Class F1 Precision Recall Images Predicted Correct" in text
    assert "bee 0.889 1.000 0.800 5 4 4" in text
    assert "cat 0.857 0.750 1.000 3 4 3" in text


def test_confusions_are_listed(run_folder: Path) -> None:
    text = Page(write_report(run_folder).read_text(encoding="utf-8")).text
    assert "bee taken for cat 20.0 %" in text
