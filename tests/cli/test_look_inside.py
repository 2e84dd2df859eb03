"""`describe`, `inspect`, `similar` and the chart, as typed."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import pytest

from tests.cli.conftest import Ends
from tests.explanation.networks import write_image
from tests.inference.networks import photo
from tests.inference.test_loading import save


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save(path)
    return path


def test_describe_prints_whole_lines(segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("describe", "lenet5", "--channels", "1", "--classes", "10") == 0
    said = capsys.readouterr().out.splitlines()
    cells = " ".join(next(line for line in said if line.startswith("backbone.c3")).split())
    assert cells == "backbone.c3 TableConvolution 16 x 10 x 10 5 1 0 1,516 151,600 150 K 14 2 6.5 6.2 KiB"
    assert said[-1].startswith("lenet5, 1 x 32 x 32: 60,850 parameters, 326.5 K multiply-adds, 340,918 connections")


def test_describe_as_json_says_nothing_else(segkit: Ends, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figure = tmp_path / "unet.svg"
    words = ("describe", "plain+unet", "--size", "64", "--backbone-option", "width=4", "--json", "--figure", figure)
    assert segkit(*words) == 0
    plain = json.loads(capsys.readouterr().out)
    assert plain["size"] == [64, 64]
    assert plain["model"]["backbone_options"]["width"] == 4
    assert plain["totals"]["multiply_adds"] == sum(layer["multiply_adds"] for layer in plain["layers"])
    assert figure.read_text().startswith("<?xml")


def test_describe_with_an_image(segkit: Ends, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("describe", model, "--image", write_image(tmp_path / "image.png")) == 0
    said = capsys.readouterr().out
    assert said.count("effective receptive field of") == 6
    assert segkit("describe", "resnet18", "--image", tmp_path / "image.png") == 2
    assert "--image needs trained weights" in capsys.readouterr().err


def test_inspect_writes_a_page_and_refuses_a_missing_image(
    segkit: Ends, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, out = write_image(tmp_path / "image.png"), tmp_path / "out"
    assert segkit("inspect", model, image, "-o", out, "--device", "cpu") == 0
    assert f"written: {out / 'index.html'}" in capsys.readouterr().out
    assert (out / "filters.png").is_file()
    assert segkit("inspect", model, tmp_path / "none.png", "-o", tmp_path / "other") == 2
    assert "does not exist" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_inspect_leaves_no_folder_behind_for_an_image_that_cannot_be_read(
    segkit: Ends, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert segkit("inspect", model, tmp_path / "broken.png", "-o", tmp_path / "out") != 0
    assert "broken.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_inspect_refuses_a_folder_of_other_things_before_the_work(
    segkit: Ends,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def work(*_: object) -> None:
        raise AssertionError("minutes of work begin")

    monkeypatch.setattr("segkit.explanation.inspection.inspect", work)
    image, out = write_image(tmp_path / "image.png"), tmp_path / "site"
    out.mkdir()
    (out / "index.html").write_text("my site")
    assert segkit("inspect", model, image, "-o", out) == 2
    assert f"{out} exists and is no result of segkit inspect" in capsys.readouterr().err
    assert (out / "index.html").read_text() == "my site"


def test_similar_lists_nearest_and_ends_with_1_for_bad_files(
    segkit: Ends, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    image = write_image(folder / "a.png")
    write_image(folder / "b.png", photo(64, 64))
    write_image(folder / "c.png")
    assert segkit("similar", model, image, folder) == 0
    nearest, farther = capsys.readouterr().out.splitlines()
    assert nearest == f"    0.0000  {folder / 'c.png'}"
    assert farther.endswith(f"  {folder / 'b.png'}")
    assert float(farther.split()[0]) > 0
    (folder / "d.png").write_bytes(b"no image")
    assert segkit("similar", model, image, folder, "--json", "--top", "1") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["nearest"] == [{"image": str(folder / "c.png"), "distance": 0.0}]
    assert [error["image"] for error in found["errors"]] == [str(folder / "d.png")]


def test_errors_of_similar_name_their_file_once(
    segkit: Ends, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, gray, broken = (tmp_path / name for name in ("a.png", "gray.png", "broken.png"))
    write_image(image)
    write_image(gray, photo(64, 64)[..., 0])
    broken.write_bytes(b"no image")
    assert segkit("similar", model, image, gray, broken) == 1
    said = capsys.readouterr().err.splitlines()
    assert f"error: {gray}: the image has 1 channel, the model takes 3" in said[0]
    assert said[1].startswith(f"error: cannot read {broken}")
    assert [line.count(str(path)) for line, path in zip(said, (gray, broken), strict=True)] == [1, 1]


def test_notes_of_the_model_are_said(segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, image, other = tmp_path / "half.safetensors", write_image(tmp_path / "a.png"), tmp_path / "b.png"
    write_image(other)
    save(model, precision="bf16")
    note = "predicting in fp32, validated in bf16"
    assert segkit("similar", model, image, other) == 0
    assert note in capsys.readouterr().err
    assert segkit("inspect", model, image, "-o", tmp_path / "out") == 0
    assert note in capsys.readouterr().out


def test_an_image_in_a_file_of_many(segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "gray.safetensors"
    save(model, {"in_channels": 1, "backbone_options": {"width": 4, "depth": 2}}, channels=1)
    images = photo(4 * 32, 32)[..., 0]
    packed = tmp_path / "train-images-idx3-ubyte.gz"
    packed.write_bytes(gzip.compress(struct.pack(">4I", 0x803, 4, 32, 32) + images.tobytes()))
    same = write_image(tmp_path / "same.png", images[96:])
    assert segkit("similar", model, packed / "00003.idx", same) == 0
    assert capsys.readouterr().out == f"    0.0000  {same}\n"
    assert segkit("inspect", model, packed / "00003.idx", "-o", tmp_path / "out") == 0
    assert "train-images-idx3-ubyte.gz/00003.idx" in (tmp_path / "out" / "index.html").read_text()
    assert segkit("describe", model, "--image", packed / "00003.idx") == 0
    assert "effective receptive field of map 2" in capsys.readouterr().out
    assert segkit("describe", model, "--image", tmp_path / "none" / "00003.idx") == 2
    assert f"the image {tmp_path / 'none' / '00003.idx'} does not exist" in capsys.readouterr().err


def test_chart_of_an_unknown_kind_is_refused_at_once(segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("models", "--chart", "chart.doc") == 2
    assert "--chart chart.doc: the name ends in none of .png, .svg, .html" in capsys.readouterr().err


@pytest.mark.parametrize(("word", "left_out"), [("vgg", "'vgg'"), ("--json", "'--json'")])
def test_chart_takes_neither_a_word_nor_json(
    segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, left_out: str
) -> None:
    assert segkit("models", word, "--chart", tmp_path / "chart.png") == 2
    assert f"--chart draws every published score as a picture; leave out {left_out}" in capsys.readouterr().err
    assert not (tmp_path / "chart.png").exists()
