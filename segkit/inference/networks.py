"""From a model file to a predictor that PyTorch computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from segkit.errors import ModelFileError, SegkitError
from segkit.inference.engines.torch import Precision, TorchEngine, bf16_hardware, resolve_device
from segkit.inference.predictor import Predictor
from segkit.modelfile import load_model_file
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap, TaskName


def load_network(path: Path, device: str, precision: Precision | None) -> Predictor:
    """The predictor of a model file; takes and raises what `segkit.inference.loading.load` does."""
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


def _choose_precision(
    validated: Precision, asked: Precision | None, device: torch.device
) -> tuple[Precision, tuple[str, ...]]:
    """The precision to run in, and a note where it is not the one the model was validated with."""
    used = asked or (validated if validated == "fp32" or bf16_hardware(device) else "fp32")
    if used == validated:
        return used, ()
    reason = "as asked" if asked else f"{device} has no {validated} in hardware"
    return used, (f"predicting in {used}, validated in {validated}: {reason}; masks may differ in a few pixels",)
