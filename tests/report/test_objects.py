"""What the report says of boxes, of objects, and of several heads."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from segkit.evaluation.evaluate import evaluate_heads
from segkit.report import write_report
from segkit.report.figures import precision_recall
from segkit.structures import TaskName
from tests.evaluation.coco_set import predictor_of, records, write_set
from tests.report.test_write import Page

MARKED_CLASSES = ["cat", "dog", "bird"]


def run_of(folder: Path, tasks: Sequence[TaskName], threshold: float = 0.6) -> Path:
    """A run that has nothing but its evaluation."""
    predictor = predictor_of(tasks, threshold=threshold)
    listed = records(write_set(folder / "set"), "instances")
    found = evaluate_heads(predictor, listed, predictor.heads)
    for number, (task, evaluation) in enumerate(found.items()):
        evaluation.write(folder / "run" / "evaluation" / (task if number else ""))
    return folder / "run"


def scores_of(run: Path, head: str = "") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation" / head / "metrics.json").read_text())
    return content


def read(run: Path) -> tuple[str, Page]:
    html = write_report(run).read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    return html, page


def figures(html: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", html, re.DOTALL)


def test_boxes(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["detect"])
    html, page = read(run)
    scores = scores_of(run)
    assert f"AP {scores['score']:.3f} 0 1" in page.text
    objects, found, invented = (sum(row[key] for row in scores["classes"]) for key in ("objects", "found", "invented"))
    assert "With boxes from a score of 0.6 on, at an intersection over union of one half: " in page.text
    assert f"{found} of {objects} found, {invented} invented." in page.text
    for row in scores["classes"]:
        if row["ap"]["value"] is not None:
            assert f"{row['name']} AP50 {row['ap50']['value']:.3f}" in page.text
    assert "the dot is what is shown, boxes with a score of 0.6 or more." in page.text
    assert "never marked AP50" not in page.text
    assert len(figures(html)) == len(MARKED_CLASSES) + 1  # and the histogram of the images
    assert all("var(--accent)" in figure and not re.search("#[0-9a-f]{6}", figure) for figure in figures(html))
    assert len(scores["examples"]) == 5  # the fourth image shows nothing and has no score
    for example in scores["examples"]:
        assert f"F1 {example['score']:.3f} · {example['caption']}" in page.text
        assert re.fullmatch(r"\d+ marked, \d+ predicted", example["caption"])
    assert "AP is the mean over intersections over union of 0.50 to 0.95" in page.text


def test_objects(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["instances"])
    html, page = read(run)
    scores = scores_of(run)
    assert "AP@0.5 " + f"{scores['score']:.3f}" in page.text
    assert "COCO's average precision of the masks" in page.text
    assert f"Mean over classes {scores['coco']['ap']['value']:.3f} {scores['coco']['ap50']['value']:.3f}" in page.text
    for row in scores["classes"]:
        if row["coco"]["ap"]["value"] is not None:
            assert f"{row['name']} {row['coco']['ap']['value']:.3f} {row['coco']['ap50']['value']:.3f}" in page.text
    assert "the dot is what is shown, all objects." in page.text
    assert "COCO's AP ranks all objects by score" in page.text
    assert "hold more than 100 objects" not in page.text
    assert len(figures(html)) == len(MARKED_CLASSES) + 1


def test_images_that_hold_more_than_coco_counts_are_named(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["instances"])
    scores = scores_of(run)
    scores["coco"]["cut"] = 2
    (run / "evaluation" / "metrics.json").write_text(json.dumps(scores))
    assert "2 images hold more than 100 objects of a class, of which COCO counts the 100 surest" in read(run)[1].text


def test_every_head_has_a_section_of_its_own(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["instances", "detect"])
    html, page = read(run)
    assert "Instance segmentation AP@0.5" in page.text
    assert {"#instances", "#detect"} <= set(page.links)
    first, second = html.split('<h2 id="detect">')
    assert '<h2 id="instances">' in first
    for section, scores in ((first, scores_of(run)), (second, scores_of(run, "detect"))):
        assert f"{scores['score']:.3f}" in section
        assert all(row["name"] in section for row in scores["classes"])
        assert section.count('class="card example"') == len(scores["examples"]) > 0
        assert "Precision and recall" in section
    assert len(figures(html)) == 2 * (len(MARKED_CLASSES) + 1)


def test_of_many_classes_those_with_the_most_objects_are_drawn(tmp_path: Path) -> None:
    run = run_of(tmp_path, ["detect"])
    scores = scores_of(run)
    (row,) = (row for row in scores["classes"] if row["name"] == "cat")
    curve = scores["curves"]["cat"]
    scores["classes"] = [{**row, "name": f"class {number}", "objects": number} for number in range(20)]
    scores["curves"] = {f"class {number}": curve for number in range(20)}
    (run / "evaluation" / "metrics.json").write_text(json.dumps(scores))
    _, page = read(run)
    assert "Of 20 classes those with the most objects." in page.text
    assert "class 8 AP50" in page.text
    assert "class 7 AP50" not in page.text


@pytest.mark.parametrize("shown", [None, {"recall": 0.5, "precision": 1.0}, {"recall": 0.0, "precision": None}])
def test_the_dot_is_drawn_where_something_is_shown(shown: dict[str, float | None] | None) -> None:
    values = {"recall": [0, 0.5, 1], "precision": [1, 1, 0], "score": [0.9, 0.7, None], "shown": shown}
    svg = precision_recall(values, "0.7")
    has_dot = shown is not None and shown["precision"] is not None
    assert ("0.7</text>" in svg) == has_dot
    assert "precision</text>" in svg
