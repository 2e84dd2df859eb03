"""The model file: weights and everything needed to use them, in one safetensors file without pickle.

Its only metadata key, `segkit`, holds the `ModelCard` as JSON. One key, because safetensors writes several in varying
order and equal models shall be equal bytes. Several model files listed in an `ensemble.json` are used as one model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import Field, model_validator
from safetensors import SafetensorError, safe_open

from segkit.config import Config
from segkit.errors import ConfigError, ModelFileError, UsageError
from segkit.ops.files import write_atomically
from segkit.structures import TaskName

SCHEMA_VERSION: Literal[2] = 2
RUN_MODEL = "model.safetensors"
"""The model file of a run folder."""
RUN_ENSEMBLE = "ensemble.json"
"""What a run of several folds has in its place: the list of their model files."""
_KEY = "segkit"


class ModelCard(Config):
    """What a model file says about its weights, as plain values.

    `model`, the values of `heads` and `pipeline` are what `ModelConfig`, `ClassMap.from_dict` and `Pipeline` read back.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    heads: dict[TaskName, dict[str, Any]] = Field(
        min_length=1, description="what the network predicts, each with its class map: names, colours, ids, background"
    )
    model: dict[str, Any] = Field(description="configuration of the network")
    pipeline: dict[str, Any] = Field(description="pre- and postprocessing")
    data: dict[str, Any] = Field(default_factory=dict, description="fingerprint of the training data")
    scores: dict[str, Any] = Field(default_factory=dict, description="validation scores with their intervals")
    packages: dict[str, str] = Field(default_factory=dict, description="package versions it was trained with")
    licence: str | None = Field(None, description="licence of the weights")

    @model_validator(mode="before")
    @classmethod
    def _migrate(cls, given: Any) -> Any:
        """Schema 1 knew one head: a task and its classes."""
        if not isinstance(given, Mapping) or given.get("schema_version") != 1:
            return given
        kept = {name: value for name, value in given.items() if name not in ("task", "classes")}
        return {**kept, "schema_version": SCHEMA_VERSION, "heads": {given.get("task"): given.get("classes")}}


def save_model_file(path: str | Path, tensors: Mapping[str, NDArray[Any]], card: ModelCard) -> None:
    """Write weights and card; the same input gives the same bytes.

    Raises `OutputError` when the file cannot be written, with nothing half-written under its name.
    """
    # np.asarray and not np.ascontiguousarray, which would make a vector of a scalar such as num_batches_tracked
    contiguous = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    content = safetensors.numpy.save(contiguous, metadata={_KEY: card.model_dump_json()})
    write_atomically(path, content)


def load_model_file(path: str | Path) -> tuple[ModelCard, dict[str, NDArray[Any]]]:
    """Card and weights of a model file; raises `ModelFileError` when it is none, is damaged or is too new."""
    card = read_card(path)
    with safe_open(path, framework="numpy") as file:
        return card, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping


def read_card(path: str | Path) -> ModelCard:
    """The card of a model file, the weights left on disk; raises `ModelFileError` as `load_model_file` does."""
    if is_ensemble(path):
        raise ModelFileError(f"{path} lists the models of an ensemble; name one of them: {read_ensemble(path)[0]}")
    metadata = _read_metadata(Path(path))
    if _KEY not in metadata:
        raise ModelFileError(
            f"{path} is a safetensors file of another program: it holds weights, but not the network, classes and "
            "preprocessing a segkit model file holds; to start a training from it use '--weights'"
        )
    try:
        plain = json.loads(metadata[_KEY])
        version = plain["schema_version"]
    except (ValueError, TypeError, KeyError):
        raise ModelFileError(f"{path} is damaged: its description is not readable; save or download it again") from None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ModelFileError(
            f"{path} was written by a newer segkit (schema {version}, known up to {SCHEMA_VERSION}); update segkit"
        )
    try:
        return ModelCard.parse(plain, source=str(path))
    except ConfigError as error:
        raise ModelFileError(f"{error}; the file was edited or is damaged, save or download it again") from None


def find_in_run(path: str | Path) -> Path:
    """The file a user means by a model file or a run folder; raises `UsageError` for a folder without a model."""
    path = Path(path)
    if not path.is_dir():
        return path
    for file in (path / RUN_MODEL, path / RUN_ENSEMBLE):
        if file.is_file():
            return file
    if (path / "fold-0").is_dir():
        raise UsageError(
            f"the run {path} has no {RUN_ENSEMBLE} before all its folds are trained; go on with '--resume', or name "
            f"one of them, for example {path / 'fold-0'}"
        )
    if (path / "checkpoints").is_dir():
        raise UsageError(f"the run {path} has no {RUN_MODEL} before its first validation; go on with '--resume'")
    raise UsageError(f"the folder {path} has no {RUN_MODEL}; name a run folder or a model file")


def is_ensemble(path: str | Path) -> bool:
    """Whether a path means a list of models rather than a model."""
    return Path(path).suffix.lower() == ".json"


def save_ensemble(path: str | Path, models: Sequence[Path]) -> None:
    """Write the list of the models of an ensemble, by their paths from the list's folder; raises `OutputError`."""
    folder = Path(path).resolve().parent
    listed = [model.resolve().relative_to(folder).as_posix() for model in models]
    content = json.dumps({"schema_version": SCHEMA_VERSION, "models": listed}, indent=1) + "\n"
    write_atomically(path, content.encode())


def read_ensemble(path: str | Path) -> tuple[Path, ...]:
    """The model files of an ensemble, at least one; raises `ModelFileError` when the list is none or a file lacks."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version, models = content["schema_version"], tuple(path.parent / str(model) for model in content["models"])
    except (OSError, ValueError, TypeError, KeyError):
        raise ModelFileError(
            f"{path} is no model and no list of the models of an ensemble; name a *.safetensors file that segkit "
            f"wrote, or the {RUN_ENSEMBLE} of a run of several folds"
        ) from None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise ModelFileError(f"{path} was written by a newer segkit (schema {version}); update segkit")
    missing = [model for model in models if is_ensemble(model) or not model.is_file()]
    if missing or not models:
        lacking = f"{missing[0]}, which is no model file" if missing else "no model"
        raise ModelFileError(f"{path} lists {lacking}; put the model files where they were, or train the folds again")
    return models


def _read_metadata(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            start = file.read(16)
        with safe_open(path, framework="numpy") as opened:
            return opened.metadata() or {}
    except OSError as error:
        reason = error.strerror or error
        raise ModelFileError(f"cannot read the model {path}: {reason}; name a *.safetensors file of segkit") from None
    except SafetensorError as error:
        raise ModelFileError(f"{path} {_what_it_is(start, error)}") from None


def _what_it_is(start: bytes, error: SafetensorError) -> str:
    """What a file that safetensors refuses seems to be, by its first bytes."""
    if start.startswith(b"PK\x03\x04") or (start[:1] == b"\x80" and start[8:9] != b"{"):
        return "is a pickle file, which can run code when opened: segkit never opens one; name a *.safetensors file"
    if start[8:9] == b"{":
        return f"is damaged or was cut short ({error}); save or download it again"
    return "is no model file; name a *.safetensors file that segkit wrote"
