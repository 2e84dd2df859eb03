"""Every task on the sample set: trained, scored, reported, predicted from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import segkit
from segkit.cli import main
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.errors import UsageError

SMALL: dict[str, Any] = {
    "epochs": 1, "device": "cpu", "quiet": True, "workers": 0, "backbone_options": {"width": 8, "stem_stride": 2}
}  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("heads") / "sample"
    write_sample(out, count=12, size=96)
    return out


@pytest.fixture(scope="module")
def run(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> segkit.Run:
    output = tmp_path_factory.mktemp("run") / "heads"
    return segkit.train(sample, heads=("segment", "classify", "detect"), output=output, **SMALL)


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)


def test_one_run_of_three_heads_leaves_scores_of_each(run: segkit.Run) -> None:
    assert run.scores["metric"] == "mean foreground Dice"
    further = {
        head: json.loads((run.folder / "evaluation" / head / "metrics.json").read_text())
        for head in ("detect", "classify")
    }
    assert further["detect"]["metric"] == "AP"
    assert further["classify"]["metric"] == "top-1 accuracy"
    page = run.report.read_text()
    assert "Segmentation, Detection, Classification" in page
    assert all(f'href="#{head}"' in page for head in ("segment", "detect", "classify"))
    assert run.config.heads == ("segment", "detect", "classify")
    log = (run.folder / "metrics.csv").read_text().splitlines()[0]
    assert {"segment_loss", "detect_loss", "classify_loss"} <= {name.removeprefix("train_") for name in log.split(",")}


def test_commands_take_the_model_of_three_heads(
    run: segkit.Run, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sample / "images"
    assert command("evaluate", run.folder, sample) == 0
    told = capsys.readouterr().err + capsys.readouterr().out
    assert command("classify", run.folder, images, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 12
    assert command("detect", run.folder, images, "--json", "--threshold", 0, "--max-detections", 1) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [len(row["boxes"]) <= 1 for row in rows] == [True] * 12
    assert command("predict", run.folder, images, "-o", tmp_path / "out", "--overlay") == 0
    for kind in ("masks", "overlays"):
        assert len(list((tmp_path / "out" / kind).iterdir())) == 12, told
    assert len(json.loads((tmp_path / "out" / "boxes.json").read_text())["images"]) == 12
    assert command("inspect", run.folder, images / "cells_000.png", "-o", tmp_path / "look") == 0
    page = (tmp_path / "look" / "index.html").read_text()
    assert all(f"{head}: " in page for head in ("segment", "detect", "classify"))


@pytest.mark.parametrize("layout", ["coco", "yolo"])
def test_boxes_that_were_written_are_a_data_set_that_is_read(
    run: segkit.Run, sample: Path, tmp_path: Path, layout: str
) -> None:
    out = tmp_path / "found"
    out.mkdir()
    (out / "images").symlink_to(sample / "images")
    assert command("detect", run.folder, out / "images", "-o", out, "--format", layout, "--threshold", 0) == 0
    if layout == "yolo":
        assert len(list((out / "labels").iterdir())) == 12
        return
    document = json.loads((out / "boxes.json").read_text())
    assert len(document["images"]) == 12
    assert [category["name"] for category in document["categories"]] == ["round_cell", "spindle_cell"]


def test_objects_are_learnt_from_files_of_numbers(sample: Path, tmp_path: Path) -> None:
    run = segkit.train(sample, task="instances", output=tmp_path / "run", **SMALL)
    assert run.scores["metric"] == "AP@0.5"
    assert command("predict", run.folder, sample / "images", "-o", tmp_path / "out") == 0
    assert len(list((tmp_path / "out" / "instances").iterdir())) == 12
    resumed = segkit.train(output=tmp_path / "run", resume=True, quiet=True)
    assert resumed.scores == run.scores


def test_what_has_no_effect_is_refused(sample: Path) -> None:
    for settings, message in (
        ({"task": "detect", "decoder": "unet"}, "to detect there is no decoder"),
        ({"task": "segment", "detect_options": {"channels": 64}}, "the network has no head of boxes"),
        ({"task": "detect", "loss": "focal"}, "boxes have the loss of FCOS"),
        ({"heads": ("segment", "detect"), "mixup": 0.2}, "--mixup 0.2: it blends whole images"),
        ({"task": "segment", "head_weights": {"detect": 2.0}}, "it weighs several heads; the network has segment"),
        ({"heads": ("segment", "segment")}, "name each once"),
    ):
        with pytest.raises(UsageError, match=message):
            segkit.train(sample, **{**SMALL, **settings})


def test_the_data_sets_of_one_head_agree_with_those_of_several(sample: Path) -> None:
    joined = open_dataset(sample, heads=("segment", "detect"))
    alone = open_dataset(sample, task="detect")
    assert joined.heads["detect"].to_dict() == alone.classes.to_dict()
    assert joined.splits() == alone.splits()


def test_folds_of_boxes_are_one_model(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = segkit.train(sample, task="detect", folds=2, output=tmp_path / "folds", **SMALL)
    thresholds = [segkit.load(run.folder / f"fold-{number}", device="cpu").threshold for number in range(2)]
    together = segkit.load(run.folder, device="cpu")
    assert together.threshold == pytest.approx(sum(thresholds) / 2)
    capsys.readouterr()
    assert command("detect", run.folder, sample / "images", "--json", "--threshold", 0) == 0
    assert len(json.loads(capsys.readouterr().out)) == 12
