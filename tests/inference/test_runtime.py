"""Which engine computes an exported file, and in what precision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segkit.errors import SegkitError, UsageError
from segkit.inference import runtime
from segkit.inference.exported import Exported, read_exported
from segkit.inference.loading import load
from segkit.inference.runtime import choose_engine
from tests.export.models import photo


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (64, 96)])
@pytest.mark.parametrize(("name", "engine"), [("onnx", "onnxruntime"), ("onnx", "openvino"), ("xml", "openvino")])
def test_every_engine_gives_the_masks_of_torch(exported: Path, name: str, engine: str, size: tuple[int, int]) -> None:
    image = photo(*size)
    expected = load(exported / "model.safetensors", "cpu").segment(image, probabilities=True)
    found = load(exported / f"model.{name}", engine=engine).segment(image, probabilities=True)  # type: ignore[arg-type]
    assert np.array_equal(found.mask, expected.mask)
    np.testing.assert_allclose(np.asarray(found.probabilities), np.asarray(expected.probabilities), atol=1e-5)


def test_tiles_of_a_large_image(exported: Path) -> None:
    expected, found = (load(exported / f"model.{suffix}", "cpu") for suffix in ("safetensors", "onnx"))
    for predictor in (expected, found):
        predictor.pipeline = predictor.pipeline.model_copy(update={"whole_limit": 1, "tile": 48})
    image = photo(120, 130)
    assert np.array_equal(found.segment(image).mask, expected.segment(image).mask)


def test_a_batch_of_several_images_is_computed_as_each_alone(exported: Path) -> None:
    images = np.random.default_rng(0).standard_normal((3, 3, 32, 40)).astype(np.float32)
    for engine in ("onnxruntime", "openvino"):
        run = load(exported / "model.onnx", engine=engine).engine.run  # type: ignore[arg-type]
        together = run(images)["segment"]
        alone = np.concatenate([run(images[i : i + 1])["segment"] for i in range(3)])
        assert together.dtype == np.float32
        np.testing.assert_allclose(together, alone, atol=1e-4)


def timed(exported: Path, **seconds: float) -> Exported:
    """The export as if its engines had been measured so."""
    found = read_exported(exported / "model.onnx")
    parity = tuple(one.model_copy(update={"seconds_after": seconds[one.engine]}) for one in found.facts.parity)
    return Exported(found.path, found.card, found.facts.model_copy(update={"parity": parity}), b"", b"")


def test_auto_takes_the_fastest_that_was_measured_and_is_installed(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_engine(timed(exported, onnxruntime=1, openvino=2), None) == "onnxruntime"
    assert choose_engine(timed(exported, onnxruntime=2, openvino=1), None) == "openvino"
    monkeypatch.setattr(runtime, "is_installed", lambda name: name == "onnxruntime")
    assert choose_engine(timed(exported, onnxruntime=2, openvino=1), None) == "onnxruntime"
    monkeypatch.setattr(runtime, "is_installed", lambda _: False)
    with pytest.raises(UsageError, match=r"needs onnxruntime or openvino, .*: pip install onnxruntime"):
        choose_engine(timed(exported, onnxruntime=2, openvino=1), None)


def test_auto_never_takes_an_engine_that_gave_other_results(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = timed(exported, onnxruntime=2, openvino=1)
    parity = tuple(one.model_copy(update={"passed": one.engine == "onnxruntime"}) for one in found.facts.parity)
    found = replace(found, facts=found.facts.model_copy(update={"parity": parity}))
    assert choose_engine(found, None) == "onnxruntime"
    assert choose_engine(found, None, "openvino") == "openvino"  # asked for
    monkeypatch.setattr(runtime, "is_installed", lambda name: name == "openvino")
    with pytest.raises(UsageError, match="needs onnxruntime, which is not installed"):
        choose_engine(found, None)


def test_what_computes_is_said(exported: Path) -> None:
    notes = load(exported / "model.onnx", engine="onnxruntime").notes
    assert notes == ("computed by onnxruntime, cpu, fp32; when it was exported 0.0000% of 3 noise images changed",)
    assert load(exported / "model.xml").engine.description == "openvino, cpu, fp32"


def test_a_lower_precision_is_only_what_was_asked_for(exported: Path) -> None:
    assert choose_engine(read_exported(exported / "model.onnx"), "bf16") == "openvino"
    with pytest.raises(UsageError, match=r"'--precision int8': .*was exported in fp32; export its model again with"):
        load(exported / "model.onnx", precision="int8")
    with pytest.raises(
        UsageError, match=r"'--engine onnxruntime' does not compute .* in fp32; allowed: auto, openvino"
    ):
        load(exported / "model.xml", engine="onnxruntime")
    with pytest.raises(UsageError, match=r"'--engine torch' does not compute .*; allowed: auto, onnxruntime, openvino"):
        load(exported / "model.onnx", engine="torch")


def test_a_model_file_is_computed_by_torch(exported: Path) -> None:
    model = exported / "model.safetensors"
    assert load(model, "cpu", engine="torch").engine.description == "torch, cpu, fp32"
    with pytest.raises(UsageError, match=r"'--engine onnxruntime' computes exported files, .* make one with: segkit"):
        load(model, engine="onnxruntime")
    with pytest.raises(UsageError, match=r"torch computes a model file in fp32 or bf16; make a file in int8 with:"):
        load(model, precision="int8")
    with pytest.raises(UsageError, match=r"'--device cuda': the exported file .* runs on the CPU"):
        load(exported / "model.onnx", "cuda")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_size_the_engine_refuses(exported: Path, engine: str) -> None:
    """The pipeline never gives it such images."""
    run = load(exported / "model.onnx", engine=engine).engine.run  # type: ignore[arg-type]
    with pytest.raises(SegkitError, match=rf"{engine} cannot compute 1 x 5 x 32 x 32 values: ") as caught:
        run(np.zeros((1, 5, 32, 32), np.float32))
    assert "\n" not in str(caught.value)


def test_an_engine_that_is_missing(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.inference.engines._base.is_installed", lambda _: False)
    with pytest.raises(UsageError, match=r"an ONNX file needs onnxruntime, .*install it with: pip install onnxruntime"):
        load(exported / "model.onnx", engine="onnxruntime")
    with pytest.raises(UsageError, match=r"the model file .* needs torch, which is not installed"):
        load(exported / "model.safetensors")
