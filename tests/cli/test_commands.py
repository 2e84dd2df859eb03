"""What commands print and how they end, on models and data that take no training."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data import image_io
from segkit.inference import jobs
from tests.cli.conftest import Ends
from tests.inference.test_loading import save


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Seven images of which six have no mask."""
    for kind in ("images", "masks"):
        (tmp_path / "data" / kind).mkdir(parents=True)
    for number in range(7):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / "images" / f"{number}.png")
    Image.fromarray(pixels[..., 0] % 3).save(tmp_path / "data" / "masks" / "6.png")
    return tmp_path / "data"


def test_check_lists_every_file_and_counts_in_words(
    segkit: Ends, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segkit("check", data) == 1
    said = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(said) if line.startswith("error missing-mask: "))
    assert said[start + 1 : start + 7] == [f"    images/{number}.png" for number in range(6)]
    errors = sum(line.startswith("error ") for line in said)
    assert said[-1].startswith(f"{errors} error")
    assert said[-1].endswith("; training would refuse this data set")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_prediction_that_is_ended_leaves_its_tables(
    segkit: Ends,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    genuine = image_io.write_mask
    handler = signal.getsignal(signal.SIGTERM)

    def end_after_two(path: Path, *arguments: object) -> None:
        if path.name == "2.png":
            os.kill(os.getpid(), number)
        genuine(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs, "write_mask", end_after_two)
    save(tmp_path / "m.safetensors")
    out = tmp_path / "out"
    assert segkit("predict", tmp_path / "m.safetensors", data / "images", "-o", out, "--device", "cpu") == code
    assert capsys.readouterr().err in {"interrupted\n", "terminated\n"}
    with (out / "summary.csv").open(newline="") as file:
        predicted = {Path(row["image"]).name for row in csv.DictReader(file)}
    assert predicted == {"0.png", "1.png"}
    assert sorted(path.name for path in (out / "masks").iterdir()) == ["0.png", "1.png"]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_an_input_that_is_empty_is_not_this_folder(
    segkit: Ends, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(data / "images")
    save(tmp_path / "m.safetensors")
    assert segkit("predict", tmp_path / "m.safetensors", "", "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err.startswith("error: an input is empty, as a shell variable that was not set")
    assert not (tmp_path / "out").exists()


def test_parts_of_a_folder_are_predicted_and_joined(
    segkit: Ends, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "m.safetensors")
    command = ["predict", tmp_path / "m.safetensors", data / "images", "-o", tmp_path / "out", "--device", "cpu"]
    assert segkit(*command, "--shard", "3/2") == 2
    assert "'--shard 3/2': parts count from 1 to 2" in capsys.readouterr().err
    (data / "images" / "3.png").write_text("none")
    codes = [segkit(*command, "--shard", part) for part in ("1/2", "2/2")]
    assert codes == [0, 1]
    assert "2 of 3 images predicted; " in capsys.readouterr().err
    Image.new("RGB", (16, 16)).save(data / "images" / "3.png")
    assert segkit(*command, "--resume") == 0
    assert "7 of 7 images predicted; " in (said := capsys.readouterr().out)
    assert "6 were done before" in said.replace("\n", " ")
