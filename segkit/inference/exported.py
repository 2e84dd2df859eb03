"""What an exported file says of itself, read without the engine that computes it and the packages that wrote it.

Every format keeps two texts in its own metadata: `segkit`, the `ModelCard` with classes and pipeline, and
`segkit_export`, the `ExportFacts`. The facts hold a digest of the whole file, so that one damaged on its way, or
changed after its masks were compared, is told from one that is whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from pydantic import Field

from segkit.config import Config
from segkit.errors import ConfigError, ModelFileError
from segkit.inference.engines._base import EngineName, ExportedPrecision
from segkit.modelfile import ModelCard
from segkit.structures import TaskName

Format = Literal["onnx", "openvino", "torch"]

SUFFIXES: dict[Format, str] = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
"""Of the file that is named; the weights of an OpenVINO file stand in a `.bin` of the same name."""

CARD, FACTS = "segkit", "segkit_export"
"""Keys of the metadata."""

UNSEALED = "0" * 64
"""Stands for the digest while the digest is computed."""

_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2
"""Field numbers of ONNX's `ModelProto.metadata_props` and of its entries."""


class ScoreChange(Config):
    """One score before and after.

    The interval is that of the mean difference of single images: 95 %, by bootstrap over the units; None below ten.
    """

    metric: str
    before: float | None
    after: float | None
    interval: tuple[float, float] | None = None

    @property
    def difference(self) -> float:
        """After minus before; 0 where nothing was counted."""
        return 0.0 if self.before is None or self.after is None else self.after - self.before


class Parity(Config):
    """What the export changed, on images that went the whole way from file to result before and after."""

    engine: EngineName = Field(description="that computed the exported file")
    images: int = Field(description="how many were compared")
    origin: str = Field(description="which images they were, for people")
    real: bool = Field(description="whether they are images of a data set, and no noise")
    largest_difference: float = Field(description="of any two logits")
    changed: dict[TaskName, float] = Field(description="share of pixels, boxes or images with another result, by head")
    scores: dict[TaskName, ScoreChange] = Field(default_factory=dict, description="where there are targets")
    seconds_before: float = Field(description="of the network alone, for one image")
    seconds_after: float = Field(description="likewise of the exported file")
    allowed: float = Field(description="largest share, or loss of score, that passes")
    passed: bool


class ExportFacts(Config):
    """How a file was exported and what that changed."""

    schema_version: Literal[1] = 1
    format: Format
    precision: ExportedPrecision
    outputs: tuple[str, ...] = Field(min_length=1, description="names of what it gives, in its order")
    opset: int | None = Field(None, description="of ONNX's operators; None where the format is not made of them")
    digest: str = UNSEALED
    parity: tuple[Parity, ...] = Field((), description="one per engine that was compared")
    packages: dict[str, str] = Field(default_factory=dict, description="package versions it was exported with")


@dataclass(frozen=True)
class Exported:
    """An exported file in memory, whole and as it was written.

    Attributes:
        path: where it was read from.
        card: classes, pipeline and the rest of what its model file said.
        facts: how it was exported.
        content: the bytes of the file.
        weights: the bytes of the file beside it that holds the weights; empty where the file holds them itself.
    """

    path: Path
    card: ModelCard
    facts: ExportFacts
    content: bytes
    weights: bytes


def is_exported(path: str | Path) -> bool:
    """Whether a path means an exported file."""
    return Path(path).suffix.lower() in SUFFIXES.values()


def seal(content: bytes, weights: bytes = b"") -> bytes:
    """The content of a file with its digest in the place of `UNSEALED`."""
    return content.replace(UNSEALED.encode(), _digest(content, weights).encode())


def read_exported(path: str | Path) -> Exported:
    """Read an exported file and what belongs to it.

    Raises `ModelFileError` when it cannot be read, is damaged, was changed, or is no file that segkit exported.
    """
    path = Path(path)
    if path.suffix.lower() == SUFFIXES["torch"]:
        raise ModelFileError(
            f"{path} is a torch program, and opening one can run code: segkit opens none; name its model file, or "
            "export that with '--format onnx'"
        )
    content = _bytes_of(path)
    weights = _bytes_of(path.with_suffix(".bin")) if path.suffix.lower() == SUFFIXES["openvino"] else b""
    metadata = _metadata(path, content)
    if not {CARD, FACTS} <= metadata.keys():
        raise ModelFileError(
            f"{path} is not a file that segkit exported: it says nothing of classes and preprocessing; make one with "
            "segkit export MODEL"
        )
    card, facts = _parse(path, metadata)
    if _digest(content.replace(facts.digest.encode(), UNSEALED.encode()), weights) != facts.digest:
        belongs = f"{path} and {path.with_suffix('.bin').name} are" if weights else f"{path} is"
        raise ModelFileError(f"{belongs} damaged, or changed after the export; copy again what was exported")
    return Exported(path, card, facts, content, weights)


def _digest(content: bytes, weights: bytes) -> str:
    digest = hashlib.sha256(content)
    digest.update(weights)
    return digest.hexdigest()


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"cannot read the exported model {path}: {error.strerror or error}") from None


def _metadata(path: Path, content: bytes) -> dict[str, str]:
    try:
        return _onnx_metadata(content) if path.suffix.lower() == SUFFIXES["onnx"] else _openvino_metadata(content)
    except (ValueError, IndexError, KeyError, ElementTree.ParseError):
        kind = "an ONNX file" if path.suffix.lower() == SUFFIXES["onnx"] else "a file of OpenVINO"
        raise ModelFileError(f"{path} is damaged, was cut short, or is not {kind}; copy or export it again") from None


def _parse(path: Path, metadata: dict[str, str]) -> tuple[ModelCard, ExportFacts]:
    try:
        card, facts = (json.loads(metadata[name]) for name in (CARD, FACTS))
        return ModelCard.parse(card, source="card"), ExportFacts.parse(facts, source="export")
    except (ValueError, TypeError, ConfigError) as error:
        raise ModelFileError(
            f"{path} was exported by another version of segkit, or edited; update segkit or export it again: {error}"
        ) from None


def _onnx_metadata(content: bytes) -> dict[str, str]:
    """The `metadata_props` of an ONNX file, which is one protobuf message; raises `ValueError` where it is none."""
    entries = [
        {part: bytes(text).decode() for part, text in _fields(entry)}
        for number, entry in _fields(memoryview(content))
        if number == _METADATA_PROPS
    ]
    return {entry[_KEY]: entry[_VALUE] for entry in entries}


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of every field of a protobuf message that has a length: texts, bytes and messages."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        length, after = _varint(message, at)
        if tag & 7 == 0:  # a number
            at = after
        elif tag & 7 == 2 and after + length <= len(message):
            at = after + length
            yield tag >> 3, message[after:at]
        else:
            raise ValueError("no protobuf message")


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at a place, seven bits a byte and the lowest first, and the place behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _openvino_metadata(content: bytes) -> dict[str, Any]:
    """The texts of `rt_info` in a file of OpenVINO that stand under the keys of segkit."""
    information = ElementTree.fromstring(content).find("rt_info")
    found = {name: None if information is None else information.find(name) for name in (CARD, FACTS)}
    return {name: element.attrib["value"] for name, element in found.items() if element is not None}
