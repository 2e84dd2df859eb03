"""From what a user calls a model (file, run folder, name) to a predictor. Nothing here asks the network.

A model file is computed by PyTorch, an exported one by an engine that needs none of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from segkit.errors import UsageError, nearest
from segkit.inference.engines._base import EngineName, ExportedPrecision, require_package
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.exported import is_exported
from segkit.inference.predictor import Predictor
from segkit.inference.runtime import load_exported
from segkit.modelfile import find_in_run, is_ensemble, read_ensemble

SUFFIX = ".safetensors"
_WEIGHTS = (Path("weights"), Path(__file__).parents[2] / "weights")


def load(
    model: str | Path,
    device: str = "auto",
    precision: ExportedPrecision | None = None,
    engine: EngineName | Literal["auto"] = "auto",
) -> Predictor:
    """A predictor from a model file, an exported file, a run folder or the name of a model in `weights/`.

    Args:
        model: `runs/NAME/model.safetensors`, `runs/NAME` or `NAME`; `ensemble.json` in the place of a model file;
            `NAME.onnx` or `NAME.xml` as `segkit export` writes them.
        device: `auto | cpu | cuda | cuda:1 | mps`; an exported file runs on the CPU.
        precision: None takes the precision the model was validated with where the device has it in hardware, else
            fp32, and of an exported file its own; the predictor's `notes` say so.
        engine: of an exported file, `onnxruntime` or `openvino`; `auto` takes the fastest of those installed.

    Raises:
        UsageError: nothing is called so, this machine lacks the device or the engine, or the model has not the
            precision.
        ModelFileError: the file is no segkit model, is damaged or comes from a newer segkit.
    """
    path = find_model_file(model)
    if is_exported(path):
        if device not in ("auto", "cpu"):
            raise UsageError(f"'--device {device}': the exported file {path} runs on the CPU; use its model file there")
        return load_exported(path, precision, engine)
    if engine not in ("auto", "torch"):
        raise UsageError(
            f"'--engine {engine}' computes exported files, and {path} is a model file; make one with: "
            f"segkit export {model} --format {'openvino' if engine == 'openvino' else 'onnx'}"
        )
    if precision not in (None, "fp32", "bf16"):
        raise UsageError(
            f"'--precision {precision}': torch computes a model file in fp32 or bf16; make a file in {precision} with: "
            f"segkit export {model} --precision {precision}"
        )
    if is_ensemble(path):
        return EnsemblePredictor.of([load(member, device, precision) for member in read_ensemble(path)], path)
    require_package("torch", f"the model file {path}")
    from segkit.inference.networks import load_network

    return load_network(path, device, precision)


def find_model_file(model: str | Path) -> Path:
    """The model file meant by a path, a run folder or a name in `weights/`; raises `UsageError` with the nearest."""
    path = Path(model)
    if str(model) and path.exists():
        return find_in_run(path)
    named = {file.stem: file for folder in _WEIGHTS for file in sorted(folder.glob(f"*{SUFFIX}"))}
    if str(model) in named:
        return named[str(model)]
    beside = [str(other) for other in sorted(path.parent.iterdir())] if path.parent.is_dir() else []
    hint = nearest(str(model), [*named, *beside])
    raise UsageError(f"no model {str(model)!r}: it is no model file, no run folder and no name in weights/.{hint}")
