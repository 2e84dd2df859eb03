"""From what a user calls a model (file, run folder, name) to a predictor. Nothing here asks the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from segkit.errors import ModelFileError, SegkitError, UsageError, nearest
from segkit.inference.engines.torch import Precision, TorchEngine, bf16_hardware, resolve_device
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.predictor import Predictor
from segkit.modelfile import find_in_run, is_ensemble, load_model_file, read_ensemble
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap, TaskName

SUFFIX = ".safetensors"
_WEIGHTS = (Path("weights"), Path(__file__).parents[2] / "weights")


def load(model: str | Path, device: str = "auto", precision: Precision | None = None) -> Predictor:
    """A predictor from a model file, a run folder or the name of a model in `weights/`.

    Args:
        model: `runs/NAME/model.safetensors`, `runs/NAME` or `NAME`; `ensemble.json` in the place of a model file.
        device: `auto | cpu | cuda | cuda:1 | mps`.
        precision: None takes the precision the model was validated with where the device has it in hardware, else
            fp32; the predictor's `notes` say so.

    Raises:
        UsageError: nothing is called so, or this machine lacks the device.
        ModelFileError: the file is no segkit model, is damaged or comes from a newer segkit.
    """
    path = find_model_file(model)
    if is_ensemble(path):
        return EnsemblePredictor.of([load(member, device, precision) for member in read_ensemble(path)], path)
    chosen = resolve_device(device)
    card, tensors = load_model_file(path)
    try:
        pipeline = Pipeline.parse(card.pipeline, source="pipeline")
        heads = {task: ClassMap.from_dict(classes) for task, classes in card.heads.items()}
        network = build_model(ModelConfig.parse(card.model, source="model"))
        network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in tensors.items()})
        _require_consistency(heads, network.config)
    except (SegkitError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelFileError(
            f"{path} holds no model this segkit can build; update segkit or save it again: {reason}"
        ) from None
    used, notes = _choose_precision(pipeline.precision, precision, chosen)
    return Predictor(TorchEngine(network, chosen, used), pipeline, heads, card, notes)


def _require_consistency(heads: Mapping[TaskName, ClassMap], network: ModelConfig) -> None:
    """Raise `ValueError` where the card of an edited file contradicts itself."""
    if heads.keys() != network.heads.keys():
        raise ValueError(f"its heads are {', '.join(heads)}, its network's {', '.join(network.heads)}")
    for task, classes in heads.items():
        if classes.num_classes != network.heads[task]:
            raise ValueError(f"to {task} it names {classes.num_classes} classes, its network has {network.heads[task]}")


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


def _choose_precision(
    validated: Precision, asked: Precision | None, device: torch.device
) -> tuple[Precision, tuple[str, ...]]:
    """The precision to run in, and a note where it is not the one the model was validated with."""
    used = asked or (validated if validated == "fp32" or bf16_hardware(device) else "fp32")
    if used == validated:
        return used, ()
    reason = "as asked" if asked else f"{device} has no {validated} in hardware"
    return used, (f"predicting in {used}, validated in {validated}: {reason}; masks may differ in a few pixels",)
