from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from segkit.errors import DataError, UsageError
from segkit.report import write_report
from tests.report.conftest import HOSTILE

VOID = {"meta", "br", "img", "link", "input", "hr", "path", "use", "rect"}


class Page(HTMLParser):
    """Collects the text, tags and attributes of a page and checks that its elements nest."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [
            value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset", "action"}
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def _read(folder: Path) -> Page:
    page = Page(write_report(folder).read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_says_score_interval_n_and_unit(run_folder: Path) -> None:
    scores = json.loads((run_folder / "evaluation" / "metrics.json").read_text())
    text = _read(run_folder).text
    low, high = scores["interval"]
    assert f"mean foreground Dice {scores['score']:.3f}" in text
    assert f"95 % interval {low:.3f} – {high:.3f}" in text
    assert "12 images; independent unit: image" in text
    for row in scores["classes"]:
        assert f"{row['dice']['value']:.3f}" in text
        assert f"{row['iou']['value']:.3f}" in text


def test_asks_nothing_of_the_network_and_runs_nothing(run_folder: Path) -> None:
    html = write_report(run_folder).read_text(encoding="utf-8")
    page = Page(html)
    assert not page.tags & {"script", "link", "iframe", "object", "form", "b"}
    assert all(link.startswith(("data:image/webp;base64,", "#")) for link in page.links)
    assert "url(http" not in html
    assert "default-src 'none'" in html


def test_hostile_names_are_shown_and_not_obeyed(run_folder: Path) -> None:
    html = write_report(run_folder).read_text(encoding="utf-8")
    assert HOSTILE not in html
    assert "cell <b>" not in html
    text = Page(html).text
    assert HOSTILE + " 3" in text or HOSTILE + " 1" in text
    assert "cell <b>bold</b>" in text


def test_gallery_shows_four_panels_of_nine_examples(run_folder: Path) -> None:
    pictures = [link for link in _read(run_folder).links if link.startswith("data:")]
    assert len(pictures) == 36
    with Image.open(io.BytesIO(base64.b64decode(pictures[0].split(",")[1]))) as picture:
        assert max(picture.size) >= 280


def test_tells_data_training_and_how_to_repeat_it(run_folder: Path) -> None:
    page = _read(run_folder)
    for said in (
        "Images 1 200 4 12",
        "60.0 %",
        "39 × 39 pixels",
        "uint16 (1216 images)",
        "0.5 to 1 (0.7) × 0.5 to 0.9 (0.6) mm, 1000 images",
        "Stored values 3 to 4095",
        "Normalization percentile",
        "Channels show phase <i>contrast</i>",
        "Training loss",
        "Validation score",
        "0.777",
        "segkit train 'my <data>'",
        "model.decoder unet",
    ):
        assert said in page.text
    assert "0123abcd" not in page.text
    assert "accelerator" not in page.text


def test_same_run_gives_the_same_page(run_folder: Path) -> None:
    first = write_report(run_folder).read_bytes()
    assert write_report(run_folder).read_bytes() == first


def test_figures_take_their_colors_from_the_page(run_folder: Path) -> None:
    html = write_report(run_folder).read_text(encoding="utf-8")
    figures = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(figures) == 4
    assert all("var(--accent)" in figure and not re.search("#[0-9a-f]{6}", figure) for figure in figures)


@pytest.mark.parametrize(
    "missing",
    ["config.yaml", "splits.json", "fingerprint.json", "environment.json", "metrics.csv", "evaluation/overlays",
     "evaluation/per_image.csv", "evaluation/confusion_matrix.csv"],
)  # fmt: skip
def test_any_part_may_be_missing(run_folder: Path, missing: str) -> None:
    path = run_folder / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "mean foreground Dice" in _read(run_folder).text


def test_run_without_evaluation_says_that_its_score_is_optimistic(run_folder: Path) -> None:
    shutil.rmtree(run_folder / "evaluation")
    text = _read(run_folder).text
    assert "best validation score 0.777" in text
    assert "an optimistic number" in text


def test_evaluation_alone(run_folder: Path) -> None:
    for path in run_folder.iterdir():
        if path.is_file():
            path.unlink()
    text = _read(run_folder).text
    assert "mean foreground Dice" in text
    assert "Repeat it" not in text


def test_too_few_units_are_listed(run_folder: Path) -> None:
    file = run_folder / "evaluation" / "metrics.json"
    scores = json.loads(file.read_text())
    scores |= {"interval": None, "unit": "group", "units": 2, "unit_scores": {"stack <1>": 0.5, "stack 2": None}}
    file.write_text(json.dumps(scores))
    text = _read(run_folder).text
    assert "95 % interval" not in text.split("Classes")[0]
    assert "12 images in 2 groups" in text
    assert "Below 10 units no interval is claimed; each group: stack <1> 0.500, stack 2 –" in text


def test_many_classes_are_summed_up(run_folder: Path) -> None:
    names = [f"class {number}" for number in range(50)]
    rows = [["reference \\ prediction", *names]] + [
        [name, *(str(900 if i == j else 7 * (j == i + 1)) for j in range(50))] for i, name in enumerate(names)
    ]
    (run_folder / "evaluation" / "confusion_matrix.csv").write_text("\n".join(",".join(row) for row in rows))
    text = _read(run_folder).text
    assert "The most frequent confusions of 50 classes" in text
    assert "class 3 class 4 7 0.8 %" in text


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"holds no run: expected config\.yaml, metrics\.csv or evaluation/metrics\.json"
    ):
        write_report(tmp_path)


def test_damaged_file_is_named(run_folder: Path) -> None:
    (run_folder / "splits.json").write_text('{"train": [')
    with pytest.raises(DataError, match=r"splits\.json is damaged .*; write it again or remove it"):
        write_report(run_folder)


def test_class_table_shows_the_distances_of_outlines(run_folder: Path) -> None:
    page = write_report(run_folder).read_text(encoding="utf-8")
    scores = json.loads((run_folder / "evaluation" / "metrics.json").read_text())
    assert ">HD95, pixels</th>" in page
    assert ">NSD at 2 pixels</th>" in page
    for row in scores["classes"][1:]:
        low, high = row["boundary"]["hd95"]["interval"]
        assert f"{row['boundary']['hd95']['value']:.3f}<br>" in page
        assert f"{low:.3f} – {high:.3f}" in page
        assert f"{row['boundary']['missed']} / {row['boundary']['invented']}</td>" in page


def test_evaluation_without_outlines_has_no_columns_for_them(run_folder: Path) -> None:
    file = run_folder / "evaluation" / "metrics.json"
    scores = json.loads(file.read_text())
    del scores["boundary"]  # as evaluations of earlier releases
    for row in scores["classes"]:
        del row["boundary"]
    file.write_text(json.dumps(scores))
    assert "HD95" not in write_report(run_folder).read_text(encoding="utf-8")
