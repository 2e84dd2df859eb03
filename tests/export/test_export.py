"""A model is exported when its file gives the same results, and only then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segkit.errors import ModelFileError, SegkitError, UsageError
from segkit.experiment.export import export_model
from segkit.export.formats import FILES
from segkit.inference.exported import CARD, read_exported
from segkit.inference.loading import load
from segkit.modelfile import ModelCard
from tests.export.models import photo, save_small


def breaking_normalization(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every ONNX file say that the values of images have another mean than the network learnt with."""
    write = FILES["onnx"].write

    def broken(self: Any, metadata: dict[str, str]) -> tuple[bytes, bytes]:
        card = ModelCard.model_validate_json(metadata[CARD])
        pipeline = card.pipeline | {"mean": [value + 0.3 for value in card.pipeline["mean"]]}
        changed = card.model_copy(update={"pipeline": pipeline}).model_dump_json()
        return write(self, {**metadata, CARD: changed})

    monkeypatch.setattr(FILES["onnx"], "write", broken)


def test_a_broken_normalization_is_caught(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    breaking_normalization(monkeypatch)
    out = tmp_path / "model.onnx"
    with pytest.raises(SegkitError, match=r"model\.onnx was not written: the export gives other results than"):
        export_model(exported / "model.safetensors", out)
    assert not list(tmp_path.iterdir())
    table = capsys.readouterr().out
    assert "NOT within the tolerance" in table
    assert "changed pixels" in table
    export_model(exported / "model.safetensors", out, allow_loss=True, quiet=True)
    parity = read_exported(out).facts.parity
    assert all(not one.passed and one.changed["segment"] > 0.01 and one.largest_difference > 0.1 for one in parity)


def test_the_table_says_what_was_compared(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export_model(exported / "model.safetensors", tmp_path / "model.xml")
    said = capsys.readouterr().out
    assert (
        "openvino against torch in fp32, on 3 images (noise: no real images, name some with '--check-on DATA')" in said
    )
    assert ": within the tolerance" in said
    assert "changed pixels                0.0000%, 0.01% allowed" in said
    assert said.splitlines()[-1] == f"written: {tmp_path / 'model.xml'}"
    assert (tmp_path / "model.bin").is_file()


def test_a_program_of_torch_runs_without_segkit(exported: Path, tmp_path: Path) -> None:
    path = export_model(exported / "model.safetensors", tmp_path / "model.pt2", quiet=True)
    extra: dict[str, Any] = {CARD: ""}
    program = torch.export.load(path, extra_files=extra).module()
    images = torch.randn(3, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    network = load(exported / "model.safetensors", "cpu").engine.run(images.numpy())["segment"]
    np.testing.assert_allclose(program(images)["segment"].detach().numpy(), network, atol=1e-5)
    card = ModelCard.model_validate_json(extra[CARD])
    assert card.heads.keys() == {"segment"}


def test_a_file_of_somebody_else_is_not_replaced(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"model\.onnx exists and is no export of segkit; name another file"):
        export_model(exported / "model.safetensors", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").read_bytes() == b"precious"


def test_an_earlier_export_is_replaced(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((exported / "model.onnx").read_bytes())
    assert export_model(exported / "model.safetensors", tmp_path / "model.onnx", quiet=True) == tmp_path / "model.onnx"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out": "model.tflite"}, r"model\.tflite has to end in \.onnx, \.xml, \.pt2, or give the format"),
        ({"out": "model.xml", "format": "onnx"}, r"a file of '--format onnx' ends in \.onnx"),
        ({"out": "nowhere/model.onnx"}, r"there is no folder nowhere; make it"),
        ({"precision": "fp16"}, r"'--format onnx' does not come in fp16: onnxruntime computes fp16 .* openvino'"),
        ({"precision": "int8"}, r"calibrated on training images; name the data they are in with '--check-on DATA'"),
        ({"format": "torch", "precision": "int8"}, r"'--format torch' does not come in int8: NNCF"),
    ],
)
def test_what_cannot_be_is_said_before_the_work(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        export_model(exported / "model.safetensors", **arguments)
    assert not list(tmp_path.iterdir())


def test_only_a_model_file_is_exported(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"was exported already; name a single \*\.safetensors file"):
        export_model(exported / "model.onnx")
    (tmp_path / "ensemble.json").write_text("{}")
    with pytest.raises(UsageError, match="lists several models; name a single"):
        export_model(tmp_path / "ensemble.json")
    (tmp_path / "other.safetensors").write_text("no model")
    with pytest.raises(ModelFileError):
        export_model(tmp_path / "other.safetensors")


def test_a_missing_package_is_named(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.inference.engines._base.is_installed", lambda name: name != "onnx")
    with pytest.raises(UsageError, match=r"'--format onnx' needs onnx, which is not installed; install it with: pip"):
        export_model(exported / "model.safetensors", tmp_path / "model.onnx")


@pytest.mark.parametrize(
    "heads",
    [{"classify": 4}, {"detect": 2}, {"segment": 3, "instances": 2, "detect": 2, "classify": 4}],
    ids=lambda heads: "+".join(heads),
)
def test_every_head_is_exported_and_compared(tmp_path: Path, heads: Any) -> None:
    model = save_small(tmp_path / "model.safetensors", heads)
    out = export_model(model, quiet=True)
    facts = read_exported(out).facts
    assert all(parity.changed.keys() == heads.keys() and parity.passed for parity in facts.parity)
    image = photo(50, 70)
    before, after = (load(path, "cpu").predict(image) for path in (model, out))
    assert type(before) is type(after)
    assert results_of(before).keys() == results_of(after).keys()
    for name, value in results_of(before).items():
        np.testing.assert_allclose(results_of(after)[name], value, atol=1e-3)


def results_of(result: Any) -> dict[str, NDArray[Any]]:
    """Every array of a result, or of the results of several heads."""
    parts = {name: part for name, part in vars(result).items() if part is not None}
    if not any(isinstance(part, np.ndarray) for part in parts.values()):
        return {f"{name} {inner}": found for name, part in parts.items() for inner, found in results_of(part).items()}
    return {name: part for name, part in parts.items() if isinstance(part, np.ndarray)}
