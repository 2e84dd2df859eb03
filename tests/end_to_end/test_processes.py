"""Training in two processes on a CPU: begun from a script, ended by a signal, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.cli import main
from segkit.data.synthetic import write_sample
from segkit.experiment.launch import train_here
from segkit.experiment.run import Run

SMALL = {"device": "cpu", "workers": 0, "backbone_options": {"width": 8}, "crop": 32, "precision": "fp32"}

SCRIPT = """
import segkit
segkit.train({data!r}, output={output!r}, epochs=1, devices=2, **{small!r})
"""
"""Without `if __name__ == "__main__"`: a process that began with it would train anew."""


def command(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    return int(caught.value.code or 0)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("processes") / "sample"
    write_sample(out, count=12, size=64)
    return out


@pytest.fixture(scope="module")
def run(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> segkit.Run:
    folder = tmp_path_factory.mktemp("run")
    script, output = folder / "script.py", folder / "two"
    script.write_text(SCRIPT.format(data=str(sample), output=str(output), small=SMALL))
    importable = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, script], check=True, timeout=500, env=importable)
    return segkit.Run(output)


def test_one_set_of_files_is_written(run: segkit.Run) -> None:
    names = {path.name for path in run.folder.iterdir()}
    files = {"config.yaml", "splits.json", "fingerprint.json", "environment.json", "log.txt", "metrics.csv"}
    assert names == files | {"model.safetensors", "report.html", "checkpoints", "evaluation"}
    assert [path.name for path in run.checkpoint.parent.iterdir()] == ["last.ckpt"]
    lines = (run.folder / "log.txt").read_text().splitlines()
    assert sum(line.startswith("trained ") for line in lines) == 1
    assert sum(line.startswith("plan:") for line in lines) == 1
    assert any("2 processes, 2 images of each batch in each" in line for line in lines)


def test_one_process_scores_the_weights_alike(run: segkit.Run, sample: Path) -> None:
    alone = segkit.evaluate(run.folder, sample, split="test", device="cpu")
    with (run.folder / "evaluation" / "confusion_matrix.csv").open() as file:
        counts = [row[1:] for row in csv.reader(file)][1:]
    assert alone.confusion is not None
    assert np.array_equal(alone.confusion, np.array(counts, np.int64))
    with (run.folder / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    validated = segkit.evaluate(run.folder, sample, split="val", device="cpu")
    assert validated.score == pytest.approx(float(row["score"]), abs=1e-6)


def test_wrong_numbers_of_processes_are_refused(
    run: segkit.Run, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusal(*words: object) -> str:
        assert command("train", *words, "--device", "cpu", "--quiet") == 2
        return capsys.readouterr().err

    assert "batches of 3 cannot be shared evenly among 2 processes" in refusal(
        sample, "--devices", 2, "--batch-size", 3, "-o", tmp_path / "a"
    )
    assert "--nodes 2 need 2 processes and 1 started" in refusal(sample, "--nodes", 2, "-o", tmp_path / "b")
    assert "--device" in refusal(sample, "--devices", 0, "-o", tmp_path / "c")
    assert command("train", "--resume", "-o", run.folder, "--devices", 3, "--quiet") == 2
    assert "cannot be shared evenly among 3 processes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_error_of_a_process_is_told_once(run: segkit.Run, tmp_path: Path) -> None:
    damaged = Run(tmp_path / "damaged")
    damaged.folder.mkdir()
    for name in ("config.yaml", "splits.json"):
        (damaged.folder / name).write_bytes((run.folder / name).read_bytes())
    (damaged.folder / "fingerprint.json").write_text(json.dumps({}))
    with pytest.raises(segkit.SegkitError, match=r"has changed since .*damaged began"):
        train_here(damaged, 2, time.monotonic(), quiet=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"task": "detect"},
        {
            "task": "instances",
            "decoder": "maskrcnn",
            "decoder_options": {"channels": 8, "hidden": 16, "proposals": 30, "regions": 16},
        },
        {"heads": ("segment", "classify", "detect")},
    ],
    ids=["detect", "maskrcnn", "heads"],
)
def test_every_task_trains_where_a_process_has_no_object(
    options: dict[str, object], sample: Path, tmp_path: Path
) -> None:
    small = {**SMALL, "backbone_options": {"width": 8, "stem_stride": 2, "depth": 4}, "batch_size": 2}
    run = segkit.train(sample, output=tmp_path / "run", epochs=2, devices=2, quiet=True, **options, **small)  # type: ignore[arg-type]
    with (run.folder / "metrics.csv").open() as file:
        assert all(np.isfinite(float(row["train_loss"])) for row in csv.DictReader(file))


@pytest.mark.slow
def test_a_signal_to_the_launcher_ends_all_after_saving(sample: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    words = ["train", sample, "-o", output, "--epochs", 500, "--devices", 2, "--device", "cpu", "--workers", 0]
    words += ["--backbone-option", "width=8", "--crop", 32]
    with subprocess.Popen(
        [sys.executable, "-m", "segkit", *map(str, words)], stderr=subprocess.PIPE, text=True
    ) as begun:
        deadline = time.monotonic() + 300
        while not (output / "metrics.csv").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        begun.send_signal(signal.SIGINT)
        _, told = begun.communicate(timeout=200)
    assert begun.returncode == 130
    assert told.count("interrupted; saved") == 1
    assert (output / "checkpoints" / "last.ckpt").exists()
