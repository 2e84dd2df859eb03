"""An interrupted prediction goes on: what is done is kept, in files and in tables, and nothing stands twice."""

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
from numpy.typing import NDArray
from PIL import Image

from segkit.errors import UsageError
from segkit.inference.predictor import Predictor
from segkit.inference.writer import write_predictions
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap
from tests.inference.large_run import Ramp, ramp_predictor


def images(folder: Path, count: int) -> list[Path]:
    """Images of different sizes and contents."""
    folder.mkdir()
    files = [folder / f"{number:02}.png" for number in range(count)]
    for seed, file in enumerate(files):
        values = np.random.default_rng(seed).integers(0, 256, (40 + seed, 50, 3), np.uint8)
        Image.fromarray(values).save(file)
    return files


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{column: value for column, value in row.items() if column != "seconds"} for row in rows]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def times(out: Path) -> dict[str, int]:
    """When each mask was written."""
    return {mask.name: mask.stat().st_mtime_ns for mask in (out / "masks").glob("*.png")}


class Spots:
    """Finds two boxes in every image, of what its brightness says."""

    description = "spots"

    def run(self, prepared: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        boxes = np.array([[[2, 3, 20, 30], [15, 5, 40, 25]]], np.float32) + abs(float(prepared.mean()))
        logits = np.array([[[3, -5], [-5, 2]]], np.float32)
        return {"detect": logits, "detect/boxes": boxes, "detect/centerness": np.full((1, 2), 20, np.float32)}


def spots_predictor() -> Predictor:
    given = {"channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3, "stride_multiple": 16}
    return Predictor(Spots(), Pipeline.parse(given), {"detect": ClassMap(("one", "other"), background=None)})


def test_killed_it_goes_on_and_nothing_stands_twice(tmp_path: Path) -> None:
    files, out = images(tmp_path / "in", 12), tmp_path / "out"
    command = [sys.executable, "-m", "tests.inference.folder_run", str(tmp_path / "in"), str(out), "150"]
    process = subprocess.Popen(command)
    while process.poll() is None and len(list((out / "masks").glob("*.png"))) < 4:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert rows_of(out / "summary.csv") == []  # killed before it could say anything
    journal = out / ".predicted" / "all.jsonl"
    done = [json.loads(line)["name"] for line in journal.read_text().splitlines()[1:]]
    assert 3 <= len(done) < 12
    with journal.open("a") as file:
        file.write('{"name": "11", "image": ')  # as where the kill came while the line was written
    before = times(out)

    summary = write_predictions(ramp_predictor(), files, out, resume=True)

    assert summary.kept == len(done)
    assert summary.describe() == f"12 of 12 images predicted; results in {out}; {len(done)} were done before"
    assert {name: times(out)[f"{name}.png"] for name in done} == {name: before[f"{name}.png"] for name in done}
    write_predictions(ramp_predictor(), files, tmp_path / "whole")
    assert without_seconds(rows_of(out / "summary.csv")) == without_seconds(rows_of(tmp_path / "whole" / "summary.csv"))
    assert contents(out / "masks") == contents(tmp_path / "whole" / "masks")


def test_tables_of_boxes_are_those_of_one_go(tmp_path: Path) -> None:
    """Images and boxes are numbered as if nothing had happened."""
    files, out = images(tmp_path / "in", 5), tmp_path / "out"

    def interrupt(done: float, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(spots_predictor(), files[::-1], out, progress=interrupt)
    write_predictions(spots_predictor(), files, out, resume=True)
    write_predictions(spots_predictor(), files, tmp_path / "whole")
    for name in ("boxes.csv", "boxes.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert len(rows_of(out / "boxes.csv")) == 10


def test_what_failed_changed_or_is_missing_is_predicted_again(tmp_path: Path) -> None:
    files, out = images(tmp_path / "in", 5), tmp_path / "out"
    good = files[0].read_bytes()
    files[0].write_bytes(b"none")
    assert list(write_predictions(ramp_predictor(), files, out).errors) == [files[0]]
    before = times(out)
    files[0].write_bytes(good)
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(files[1])
    (out / "masks" / "02.png").unlink()
    summary = write_predictions(ramp_predictor(), files, out, resume=True)
    assert (summary.kept, summary.errors) == (2, {})
    assert not (out / "errors.csv").exists()
    assert {name for name, time in times(out).items() if before.get(name) != time} == {"00.png", "01.png", "02.png"}
    assert [row["image"] for row in rows_of(out / "summary.csv")[::3]] == [str(file) for file in files]
    assert rows_of(out / "summary.csv")[3]["width"] == "9"


def test_further_images_are_added(tmp_path: Path) -> None:
    files, out = images(tmp_path / "in", 4), tmp_path / "out"
    write_predictions(ramp_predictor(), files[:2], out)
    assert write_predictions(ramp_predictor(), files, out, resume=True).kept == 2
    assert len(rows_of(out / "summary.csv")) == 4 * 3


def test_without_resume_everything_begins_anew(tmp_path: Path) -> None:
    files, out = images(tmp_path / "in", 2), tmp_path / "out"
    write_predictions(ramp_predictor(classes=2), files, out)
    assert write_predictions(ramp_predictor(), files, out).kept == 0
    assert write_predictions(ramp_predictor(), files, out, resume=True).kept == 2


def test_results_of_another_model_or_of_other_options_are_not_mixed(tmp_path: Path) -> None:
    files, out = images(tmp_path / "in", 2), tmp_path / "out"
    write_predictions(ramp_predictor(), files, out)
    with pytest.raises(UsageError, match=r"out holds results with another model \(\w+, and now \w+\); go on with the"):
        write_predictions(ramp_predictor(classes=2), files, out, resume=True)
    with pytest.raises(UsageError, match=r"another options \(none, and now --overlay\)"):
        write_predictions(ramp_predictor(), files, out, overlay=True, resume=True)
    other = Predictor(Ramp(3), ramp_predictor().pipeline, ramp_predictor().heads)
    other.engine.description = "ramp, faster"
    with pytest.raises(UsageError, match=r"another engine \(ramp, and now ramp, faster\)"):
        write_predictions(other, files, out, resume=True)


def test_zeros_of_a_lost_power_supply_are_no_line(tmp_path: Path) -> None:
    files, out = images(tmp_path / "in", 2), tmp_path / "out"
    write_predictions(ramp_predictor(), files, out)
    journal = out / ".predicted" / "all.jsonl"
    size = journal.stat().st_size
    os.truncate(journal, size - 5)
    os.truncate(journal, size)
    assert write_predictions(ramp_predictor(), files, out, resume=True).kept == 1
