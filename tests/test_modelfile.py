"""Model files come back bit for bit, and everything that is none is named for what it is."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

from segkit.errors import ModelFileError, OutputError
from segkit.modelfile import SCHEMA_VERSION, ModelCard, load_model_file, read_card, save_model_file
from tests.full_disk import full_disk


def card(**changes: Any) -> ModelCard:
    plain = {"heads": {"segment": {"names": ["a", "ü"]}}, "model": {"backbone": "plain"}, "pipeline": {}}
    return ModelCard(**(plain | changes))


def weights() -> dict[str, NDArray[Any]]:
    generator = np.random.default_rng(0)
    convolution = generator.normal(size=(4, 3, 3, 3)).astype(np.float32)
    return {
        "conv.weight": convolution,
        "conv.channels_last": convolution.transpose(0, 2, 3, 1),
        "norm.num_batches_tracked": np.array(7, np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "nan": np.array([np.nan, -0.0, np.inf], np.float32),
    }


def test_round_trip_is_exact(tmp_path: Path) -> None:
    saved = weights()
    save_model_file(tmp_path / "m.safetensors", saved, card(scores={"dice": 0.5}, licence="CC0-1.0"))
    loaded_card, loaded = load_model_file(tmp_path / "m.safetensors")
    assert loaded_card == read_card(tmp_path / "m.safetensors") == card(scores={"dice": 0.5}, licence="CC0-1.0")
    assert loaded.keys() == saved.keys()
    for name, tensor in saved.items():
        assert loaded[name].shape == tensor.shape
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].tobytes() == tensor.tobytes()


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    reordered = dict(reversed(weights().items()))
    save_model_file(tmp_path / "a.safetensors", weights(), card())
    save_model_file(tmp_path / "b.safetensors", reordered, card())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_one_metadata_key_holds_json(tmp_path: Path) -> None:
    save_model_file(tmp_path / "m.safetensors", weights(), card())
    content = (tmp_path / "m.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"]) == ["segkit"]
    assert json.loads(header["__metadata__"]["segkit"])["schema_version"] == SCHEMA_VERSION


def test_score_without_value_is_null(tmp_path: Path) -> None:
    save_model_file(tmp_path / "m.safetensors", weights(), card(scores={"iou": float("nan")}))
    assert read_card(tmp_path / "m.safetensors").scores == {"iou": None}


def write_with_description(path: Path, description: str) -> Path:
    path.write_bytes(safetensors.numpy.save({"w": np.zeros(3)}, metadata={"segkit": description}))
    return path


def described(**changes: Any) -> str:
    return json.dumps(card().model_dump(mode="json") | changes)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (described(schema_version=SCHEMA_VERSION + 1), r"newer segkit \(schema 3, known up to 2\); update segkit"),
        (described(schema_version=0), "schema_version: .*edited or is damaged"),
        (described(heads={"juggle": {}}), "heads.juggle.*should be 'segment'.*edited or is damaged"),
        (described(extra=1), "unknown key 'extra'.*edited or is damaged"),
        ("{", "is damaged: its description is not readable"),
        ("[]", "is damaged: its description is not readable"),
        ("{}", "is damaged: its description is not readable"),
    ],
)
def test_description_that_cannot_be_used(tmp_path: Path, description: str, message: str) -> None:
    path = write_with_description(tmp_path / "m.safetensors", description)
    for read in (read_card, load_model_file):
        with pytest.raises(ModelFileError, match=message):
            read(path)


def test_schema_1_with_its_one_head_is_read(tmp_path: Path) -> None:
    older = {**card().model_dump(mode="json"), "schema_version": 1, "task": "segment", "classes": {"names": ["a", "ü"]}}
    del older["heads"]
    path = write_with_description(tmp_path / "m.safetensors", json.dumps(older))
    assert read_card(path) == card()


def one_line(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        load_model_file(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pickles_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"w": torch.zeros(3)}, path)
    assert "is a pickle file, which can run code when opened" in one_line(path)
    torch.save({"w": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    assert "is a pickle file" in one_line(path)
    for protocol in (2, 4, 5):
        path.write_bytes(pickle.dumps({"w": list(range(100))}, protocol=protocol))
        assert "is a pickle file" in one_line(path)


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str, str]]:
            return Path.write_text, (Path(tmp_path / "sprung"), "")  # type: ignore[return-value]

    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    assert "is a pickle file" in one_line(tmp_path / "model.safetensors")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("share", [0.01, 0.3, 0.99])
def test_truncated(tmp_path: Path, share: float) -> None:
    path = tmp_path / "m.safetensors"
    save_model_file(path, weights(), card())
    content = path.read_bytes()
    path.write_bytes(content[: max(int(len(content) * share), 9)])
    assert "is damaged or was cut short" in one_line(path)


def test_safetensors_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors.numpy.save({"w": np.zeros(3)}))
    assert "is a safetensors file of another program" in one_line(path)
    path.write_bytes(safetensors.numpy.save({"w": np.zeros(3)}, metadata={"format": "pt"}))
    assert "is a safetensors file of another program" in one_line(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"a longer text that is no model at all"])
def test_no_model_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    assert "is no model file; name a *.safetensors file that segkit wrote" in one_line(tmp_path / "m.safetensors")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "No such file or directory; name a *.safetensors file" in one_line(tmp_path / "absent.safetensors")
    assert "Is a directory; name a *.safetensors file" in one_line(tmp_path)


def test_full_disk_keeps_the_model_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_model_file(path, {}, card())
    before = path.read_bytes()
    with full_disk(1000), pytest.raises(OutputError, match=r"cannot write .*m\.safetensors"):
        save_model_file(path, {"w": np.zeros(10_000)}, card())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
