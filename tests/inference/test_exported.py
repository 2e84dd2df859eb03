"""An exported file is read without its engine, and one that is not what was written is told."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from segkit.errors import ModelFileError, UsageError
from segkit.inference.exported import CARD, FACTS, UNSEALED, read_exported
from segkit.inference.loading import load
from segkit.modelfile import read_card
from tests.export.models import photo


@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_a_file_says_what_it_is(exported: Path, name: str) -> None:
    found = read_exported(exported / name)
    assert found.card == read_card(exported / "model.safetensors")
    assert found.facts.format == ("onnx" if name.endswith("onnx") else "openvino")
    assert found.facts.precision == "fp32"
    assert found.facts.opset == (18 if name.endswith("onnx") else None)
    assert found.facts.digest != UNSEALED
    assert found.facts.packages.keys() >= {"segkit", "torch", "onnx"}
    assert all(parity.passed and not parity.real and parity.images == 3 for parity in found.facts.parity)


def test_metadata_is_read_as_onnx_reads_it(exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    found = read_exported(exported / "model.onnx")
    assert found.facts.model_dump(mode="json") == json.loads(metadata[FACTS])
    assert found.card.model_dump(mode="json") == json.loads(metadata[CARD])
    onnx.checker.check_model(model, full_check=True)


def copied(exported: Path, folder: Path, name: str) -> Path:
    """A copy of an export, with its weights, that a test may spoil."""
    for part in (Path(name), Path(name).with_suffix(".bin")):
        if (exported / part).is_file():
            (folder / part).write_bytes((exported / part).read_bytes())
    return folder / name


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_a_file_that_was_cut_short(exported: Path, tmp_path: Path, name: str, share: float) -> None:
    path = copied(exported, tmp_path, name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelFileError, match=r"is damaged|not a file that segkit exported") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "changed"), [("model.onnx", "model.onnx"), ("model.xml", "model.bin")])
def test_one_changed_byte_of_the_weights_is_found(exported: Path, tmp_path: Path, name: str, changed: str) -> None:
    path = copied(exported, tmp_path, name)
    content = bytearray((tmp_path / changed).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / changed).write_bytes(content)
    with pytest.raises(ModelFileError, match=r"damaged, or changed after the export; copy again|is damaged"):
        load(path)


def test_weights_of_another_export_and_none(exported: Path, tmp_path: Path) -> None:
    path = copied(exported, tmp_path, "model.xml")
    (tmp_path / "model.bin").write_bytes(b"others")
    with pytest.raises(ModelFileError, match=r"model\.xml and model\.bin are damaged, or changed"):
        load(path)
    (tmp_path / "model.bin").unlink()
    with pytest.raises(ModelFileError, match=r"cannot read the exported model .*model\.bin: No such file"):
        load(path)


def test_files_of_other_programs(exported: Path, tmp_path: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(ModelFileError, match=r"not a file that segkit exported: .* make one with segkit export MODEL"):
        load(tmp_path / "other.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ModelFileError, match="is damaged, was cut short, or is not an ONNX file"):
        load(tmp_path / "text.onnx")
    (tmp_path / "page.xml").write_text("<html></html>")
    (tmp_path / "page.bin").touch()
    with pytest.raises(ModelFileError, match="not a file that segkit exported"):
        load(tmp_path / "page.xml")


def test_a_torch_program_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(b"PK")
    with pytest.raises(ModelFileError, match="opening one can run code: segkit opens none; name its model file"):
        load(tmp_path / "model.pt2")


def test_a_file_the_engine_cannot_load(exported: Path, tmp_path: Path) -> None:
    """Whole and of segkit, and yet nothing that the installed engine knows."""
    from segkit.inference.exported import seal

    model = onnx.load(exported / "model.onnx")
    model.graph.node[0].op_type = "FromTheFuture"
    digest = read_exported(exported / "model.onnx").facts.digest
    path = tmp_path / "future.onnx"
    path.write_bytes(seal(model.SerializeToString().replace(digest.encode(), UNSEALED.encode())))
    for engine in ("onnxruntime", "openvino"):
        with pytest.raises(
            ModelFileError, match=rf"future\.onnx: {engine} \S+ cannot load it, update {engine}: "
        ) as caught:
            load(path, engine=engine)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_what_an_image_has_too_much_of(exported: Path) -> None:
    predictor = load(exported / "model.onnx")
    with pytest.raises(UsageError, match="the image has 5 channels, the model takes 3"):
        predictor.predict(photo(40, 40).repeat(2, axis=2)[..., :5])
