"""What an export changed on images with targets, and int8 calibrated on training images."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from segkit.errors import SegkitError, UsageError
from segkit.experiment.evaluate import evaluate
from segkit.experiment.export import export_model
from segkit.export import parity
from segkit.inference.engines._base import ExportedPrecision
from segkit.inference.exported import read_exported
from segkit.inference.loading import load
from tests.export.models import save_trained, write_discs


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, twelve images of which are the test part, and `model.safetensors`, which learnt them."""
    folder = tmp_path_factory.mktemp("discs")
    save_trained(folder / "model.safetensors", write_discs(folder / "data"))
    return folder


def test_scores_before_and_after(discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = export_model(discs / "model.safetensors", tmp_path / "model.onnx", check_on=discs / "data")
    table = capsys.readouterr().out
    assert "onnxruntime against torch in fp32, on 12 images (test, unknown to the model): within the tolerance" in table
    before, after = (evaluate(path, discs / "data", quiet=True) for path in (discs / "model.safetensors", out))
    for compared in read_exported(out).facts.parity:
        assert compared.real
        assert compared.images == 12
        change = compared.scores["segment"]
        assert change.before == pytest.approx(before.score)
        assert change.after == pytest.approx(after.score)
        assert change.before is not None
        assert change.before > 0.9
        assert change.interval == pytest.approx((0, 0), abs=1e-4)
    assert f"mean foreground Dice          {before.score:.4f} to {after.score:.4f}, +0.0000 [+0.0000, +0.0000]" in table


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_int8_loses_little_and_says_so(discs: Path, tmp_path: Path, suffix: str) -> None:
    out = export_model(
        discs / "model.safetensors", tmp_path / f"model{suffix}", precision="int8", check_on=discs / "data", quiet=True
    )
    facts = read_exported(out).facts
    assert facts.precision == "int8"
    own = facts.parity[0]
    assert own.passed
    assert own.largest_difference > 1e-3  # it is computed otherwise
    assert own.scores["segment"].difference >= -0.005
    taken = load(out).engine.description
    assert taken in {f"{compared.engine}, cpu, int8" for compared in facts.parity if compared.passed}
    if suffix == ".onnx":
        operators = {node.op_type for node in onnx.load(out).graph.node}
        assert operators >= {"QuantizeLinear", "DequantizeLinear"}
    else:
        assert b"FakeQuantize" in out.read_bytes()


def test_a_loss_above_the_tolerance_is_not_written(
    discs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(parity.TOLERANCE, "int8", -0.5)  # a gain of half, which none has  # type: ignore[arg-type]
    model, out = discs / "model.safetensors", tmp_path / "model.onnx"
    with pytest.raises(SegkitError, match=r"model\.onnx was not written: the export gives other results"):
        export_model(model, out, precision="int8", check_on=discs / "data")
    assert not list(tmp_path.iterdir())
    assert "a loss of -0.5 allowed" in capsys.readouterr().out
    export_model(model, out, precision="int8", check_on=discs / "data", allow_loss=True, quiet=True)
    assert not read_exported(out).facts.parity[0].passed


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_of_openvino(discs: Path, tmp_path: Path, precision: ExportedPrecision) -> None:
    out = export_model(
        discs / "model.safetensors",
        tmp_path / "model.xml",
        precision=precision,
        check_on=discs / "data",
        quiet=True,
    )
    (compared,) = read_exported(out).facts.parity
    assert compared.changed["segment"] <= 0.002
    exact = export_model(discs / "model.safetensors", tmp_path / "exact.xml", quiet=True)
    sizes = [path.with_suffix(".bin").stat().st_size for path in (out, exact)]
    assert (sizes[0] < 0.7 * sizes[1]) == (precision == "fp16")


def test_int8_wants_training_images(discs: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for kind in ("images", "masks"):
        (data / kind).mkdir(parents=True)
        for file in (discs / "data" / "test" / kind).iterdir():
            (data / kind / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UsageError, match="holds none of the model's and has no part called train; name the data"):
        export_model(discs / "model.safetensors", tmp_path / "m.onnx", precision="int8", check_on=data, quiet=True)
