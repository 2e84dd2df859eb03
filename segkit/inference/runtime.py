"""From an exported file to a predictor that needs no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from segkit.errors import ModelFileError, SegkitError, UsageError
from segkit.inference.engines._base import Engine, EngineName, ExportedPrecision, is_installed, reason_of
from segkit.inference.engines.onnxruntime import OnnxRuntimeEngine
from segkit.inference.engines.openvino import OpenVinoEngine
from segkit.inference.exported import Exported, Format, read_exported
from segkit.inference.predictor import Predictor
from segkit.ops.words import counted
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap

ENGINES: Mapping[Format, tuple[EngineName, ...]] = {"onnx": ("onnxruntime", "openvino"), "openvino": ("openvino",)}
"""What computes a file, first what the format is of: an export stands and falls with that one."""

LOWERED: tuple[ExportedPrecision, ...] = ("bf16", "fp16")
"""What OpenVINO can compute a file of fp32 in."""


def load_exported(
    path: Path, precision: ExportedPrecision | None = None, engine: EngineName | Literal["auto"] = "auto"
) -> Predictor:
    """The predictor of an exported file; takes and raises what `segkit.inference.loading.load` does."""
    exported = read_exported(path)
    return open_exported(exported, precision or exported.facts.precision, choose_engine(exported, precision, engine))


def open_exported(exported: Exported, precision: ExportedPrecision, engine: EngineName) -> Predictor:
    """The predictor of an exported file with a given engine and precision."""
    try:
        pipeline = Pipeline.parse(exported.card.pipeline, source="pipeline")
        heads = {task: ClassMap.from_dict(classes) for task, classes in exported.card.heads.items()}
    except (SegkitError, KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{exported.path} describes no model this segkit knows; update segkit or export it again: "
            f"{reason_of(error)}"
        ) from None
    try:
        computes = _make(exported, precision, engine)
    except ModelFileError as error:
        raise ModelFileError(f"{exported.path}: {error}") from None
    return Predictor(computes, pipeline, heads, exported.card, (_note(exported, computes, engine),))


def choose_engine(
    exported: Exported, precision: ExportedPrecision | None, asked: EngineName | Literal["auto"] = "auto"
) -> EngineName:
    """The engine asked for, else the fastest of those that are installed, as measured when the file was exported.

    Raises `UsageError` where none computes the file in this precision.
    """
    facts = exported.facts
    able = [name for name in ENGINES[facts.format] if _computes(name, facts.precision, precision)]
    if not able:
        raise UsageError(
            f"'--precision {precision}': {exported.path} was exported in {facts.precision}; export its model again "
            f"with '--precision {precision}'"
        )
    if asked != "auto":
        if asked in able:
            return asked
        wanted = precision or facts.precision
        raise UsageError(
            f"'--engine {asked}' does not compute {exported.path} in {wanted}; allowed: auto, {', '.join(able)}"
        )
    seconds = {parity.engine: parity.seconds_after for parity in facts.parity if parity.passed}
    failed = {parity.engine for parity in facts.parity if not parity.passed}
    right = [name for name in able if name not in failed] or able  # all failed where '--allow-loss' was given
    fastest_first = sorted(right, key=lambda name: seconds.get(name, float("inf")))
    found = next((name for name in fastest_first if is_installed(name)), None)
    if found is None:
        raise UsageError(
            f"{exported.path} needs {' or '.join(right)}, which is not installed; install it with: pip install "
            f"{right[0]}"
        )
    return found


def _computes(engine: EngineName, own: ExportedPrecision, asked: ExportedPrecision | None) -> bool:
    return asked in (None, own) or (engine == "openvino" and own == "fp32" and asked in LOWERED)


def _make(exported: Exported, precision: ExportedPrecision, engine: EngineName) -> Engine:
    if engine == "onnxruntime":
        return OnnxRuntimeEngine(exported.content, precision)
    return OpenVinoEngine(exported.content, exported.weights, exported.facts.outputs, precision)


def _note(exported: Exported, computes: Engine, engine: EngineName) -> str:
    """What computes, and what that was found to change."""
    for parity in exported.facts.parity:
        if parity.engine == engine:
            share, images = (
                max(parity.changed.values()),
                counted(parity.images, "image" if parity.real else "noise image"),
            )
            return f"computed by {computes.description}; when it was exported {share:.4%} of {images} changed"
    return f"computed by {computes.description}; it was not compared when the file was exported"
