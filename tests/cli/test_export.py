"""`segkit export`, and the commands that take what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segkit.data.image_io import read_mask, write_image
from segkit.inference.loading import load
from tests.cli.conftest import Ends
from tests.export.conftest import exported
from tests.export.models import photo, save_small

__all__ = ["exported"]


def test_from_a_model_to_masks_by_way_of_a_file(
    segkit: Ends, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "image.png", photo(40, 50))
    assert segkit("export", exported / "model.safetensors", tmp_path / "model.onnx") == 0
    assert "changed pixels" in capsys.readouterr().out
    words = (
        "predict",
        tmp_path / "model.onnx",
        tmp_path / "image.png",
        "--engine",
        "onnxruntime",
        "-o",
        tmp_path / "out",
    )
    assert segkit(*words) == 0
    assert "computed by onnxruntime, cpu, fp32" in capsys.readouterr().out
    expected = load(exported / "model.safetensors", "cpu").segment(tmp_path / "image.png").mask
    assert (read_mask(tmp_path / "out" / "masks" / "image.png") == expected).all()


def test_classify_and_detect_with_exported_files(
    segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(tmp_path / "image.png", photo(40, 50))
    save_small(tmp_path / "model.safetensors", {"detect": 2, "classify": 3})
    assert segkit("export", tmp_path / "model.safetensors", "--format", "openvino", "--quiet") == 0
    capsys.readouterr()
    for command in ("classify", "detect"):
        said = []
        for name in ("model.safetensors", "model.xml"):
            assert segkit(command, tmp_path / name, tmp_path / "image.png", "--json", "--device", "cpu") == 0
            said.append(json.loads(capsys.readouterr().out))
        before, after = said
        assert before[0].keys() == after[0].keys()
        key = "classes" if command == "classify" else "boxes"
        assert len(before[0][key]) == len(after[0][key])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--int8", "--precision", "bf16"), "'--int8' and '--precision bf16' contradict each other"),
        (("--int8",), "int8 is calibrated on training images; name the data they are in with '--check-on DATA'"),
        (("--precision", "bf16"), "'--format onnx' does not come in bf16"),
        (("--check-on", "nowhere"), "nowhere"),
    ],
)
def test_wrong_options_end_with_2_and_one_line(
    segkit: Ends,
    exported: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    assert segkit("export", exported / "model.safetensors", tmp_path / "model.onnx", *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_ends_predict_with_one_line(
    segkit: Ends, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_bytes((exported / "model.onnx").read_bytes()[:-100])
    write_image(tmp_path / "image.png", photo(40, 50))
    assert segkit("predict", tmp_path / "model.onnx", tmp_path / "image.png", "-o", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "model.onnx is damaged" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
