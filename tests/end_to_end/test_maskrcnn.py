"""Mask R-CNN on the sample set from the command line: trained, scored, predicted, described; and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import segkit
from segkit.cli import main
from segkit.data.image_io import read_mask
from segkit.data.synthetic import write_sample
from segkit.models.heads.maskrcnn import MaskRcnnHead
from segkit.tasks import MaskRcnnTask

SMALL = ["--device", "cpu", "--workers", 0, "--quiet", "--backbone-option", "width=8,stem_stride=2,depth=4"]
NETWORK = ["--decoder", "maskrcnn", "--decoder-option", "channels=8,hidden=16,proposals=30,regions=16"]


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("maskrcnn") / "sample"
    write_sample(out, count=9, size=64)
    return out


@pytest.fixture(scope="module")
def run(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> segkit.Run:
    output = tmp_path_factory.mktemp("run") / "objects"
    assert command("train", sample, "--task", "instances", *NETWORK, "--epochs", 1, "-o", output, *SMALL) == 0
    return segkit.Run(output)


def test_a_run_leaves_its_network_and_scores(run: segkit.Run) -> None:
    assert run.scores["metric"] == "AP@0.5"
    assert run.config.model.decoder == "maskrcnn"
    assert run.config.model.decoder_options["hidden"] == 16
    log = (run.folder / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {f"train_{part}_loss" for part in ("anchor", "anchor_box", "class", "box", "mask")} <= set(log)
    head = segkit.load(run.folder, device="cpu").engine.model.heads["instances"]  # type: ignore[attr-defined]
    assert isinstance(head, MaskRcnnHead)
    assert not MaskRcnnTask(head).state_dict(), "the checkpoint holds every weight once"


def test_commands_take_the_model(
    run: segkit.Run, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("evaluate", run.folder, sample, "--split", "all", "--json") == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "AP@0.5"
    assert command("predict", run.folder, sample / "images", "-o", tmp_path / "out", "--overlay") == 0
    written = sorted((tmp_path / "out" / "instances").iterdir())
    assert [path.name for path in written] == sorted(path.name for path in (sample / "images").iterdir())
    assert read_mask(written[0]).shape == (64, 64)
    assert (tmp_path / "out" / "objects.csv").exists()
    capsys.readouterr()
    assert command("describe", run.folder) == 0
    assert "roi_heads.mask_predictor.mask_fcn_logits" in capsys.readouterr().out
    assert command("export", run.folder, tmp_path / "objects.onnx") == 2
    assert "with decoder maskrcnn: it chooses regions while it computes, which exported" in capsys.readouterr().err
    assert command("models", "maskrcnn", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["heads"] == ["instances"]
    assert {"channels=64", "anchor_sizes=auto"} <= set(row["options"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "segment"], "decoder maskrcnn finds objects one by one, for --task instances alone; to segment"),
        (["--heads", "instances,classify"], "for --task instances alone; to instances and classify take another"),
        (["--task", "detect"], "to detect there is no decoder; leave out --decoder and its options"),
        (
            ["--task", "instances", "--loss", "dice"],
            "--loss dice: decoder maskrcnn has losses of its own; leave it out",
        ),
        (["--task", "instances", "--class-weights", "balanced"], "--class-weights: decoder maskrcnn has losses of its"),
        (["--task", "instances", "--upsample", "bilinear"], "decoder maskrcnn has no option 'upsample'"),
        (["--task", "instances", "--backbone", "unet2015"], "take another backbone, such as plain"),
        (
            ["--task", "instances", "--backbone", "lenet5", "--decoder-option", "finest_stride=8"],
            "the backbone has maps of strides 1, 2, 4 and decoder maskrcnn reads those of 8 or more",
        ),
    ],
)
def test_wrong_pairs_are_refused_in_a_line(
    sample: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--decoder", "maskrcnn", "--epochs", 1, "-o", tmp_path / "run", "--quiet", "--device", "cpu"]
    assert command("train", sample, *words, *options) == 2
    error = capsys.readouterr().err.strip()
    assert message in " ".join(error.split())
    assert error.count("error:") <= 1
    assert not (tmp_path / "run").exists()
