"""From what a user calls a network (a name, a model file) to its description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segkit.errors import UsageError
from segkit.explanation.effective_field import EffectiveField, effective_fields
from segkit.explanation.subject import open_subject
from segkit.inference.loading import SUFFIX, find_model_file, load
from segkit.modelfile import RUN_MODEL, read_card
from segkit.models.backbones._base import BACKBONES
from segkit.models.complexity import Complexity, measure_complexity
from segkit.models.config import OBJECT_DECODERS, ModelConfig, Option
from segkit.models.factory import build_model, refuse_without_effect
from segkit.models.model import Model
from segkit.pipeline import Pipeline
from segkit.structures import TaskName

USUAL_SIZE = 224
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Description:
    """A network, its layers and, on an image, its effective receptive fields.

    Attributes:
        name: what the user called it.
        config: what it is built from.
        complexity: its layers.
        effective: of every map of the backbone and of the logits, where an image was given.
        pipeline: what a model file does to an image before the network; None for a network by its name.
    """

    name: str
    config: ModelConfig
    complexity: Complexity
    effective: tuple[EffectiveField, ...] = ()
    pipeline: Pipeline | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        fields = [
            {"name": field.name, "channels": field.channels, "stride": field.stride, "size": field.size}
            for field in self.effective
        ]
        more: dict[str, Any] = {"effective_fields": fields} if fields else {}
        if self.pipeline is not None:
            more["pipeline"] = self.pipeline.model_dump(mode="json")
        return {"name": self.name, "model": self.config.model_dump(), **self.complexity.to_dict(), **more}


def describe(
    name: str,
    *,
    size: int | None = None,
    task: TaskName | None = None,
    classes: int | None = None,
    channels: int | None = None,
    image: str | Path | None = None,
    backbone_options: Mapping[str, Option] | None = None,
    decoder_options: Mapping[str, Option] | None = None,
) -> Description:
    """Describe a network layer by layer.

    Args:
        name: a backbone, `BACKBONE+DECODER`, or a model file, run folder or name in `weights/`.
        size: height and width of the image; None: what the classifier or the model was made for, else 224.
        task: what the decoder that is named serves first, `segment` or `instances`, else `classify`.
        classes: 1000 to classify, else 2.
        channels: of the image, else 3.
        image: a file on which the effective receptive fields of a model are measured.
        backbone_options: options of the backbone.
        decoder_options: options of the decoder.

    Raises:
        UsageError: nothing is called so, or an argument makes no sense for it.
    """
    if _is_model(name):
        given: dict[str, object] = {"--task": task, "--classes": classes, "--channels": channels}
        given |= {"--backbone-option": backbone_options or None, "--decoder-option": decoder_options or None}
        fixed = [flag for flag, value in given.items() if value is not None]
        if fixed:
            raise UsageError(f"{name} is a trained model, so its {fixed[0]} is settled; leave it out")
        return _describe_model(name, size, image)
    if image is not None:
        raise UsageError(f"--image needs trained weights, and {name} has none; name a model file or a run folder")
    backbone, _, decoder = name.partition("+")
    task = task or ("instances" if decoder in OBJECT_DECODERS else "segment" if decoder else "classify")
    config = ModelConfig.parse(
        {
            "task": task,
            "backbone": backbone,
            "decoder": decoder or None,
            "num_classes": classes or (IMAGENET_CLASSES if task == "classify" else 2),
            "in_channels": channels or 3,
            "backbone_options": dict(backbone_options or {}),
            "decoder_options": dict(decoder_options or {}),
        },
        source="model",
    )
    refuse_without_effect(config, config.backbone_options)
    network = build_without_weights(config)
    side = size or natural_size(network)
    return Description(name, network.config, measure_complexity(network, config.in_channels, (side, side)))


def build_without_weights(config: ModelConfig) -> Model:
    """A network whose parameters have shapes and no values (PyTorch's meta device), in a fraction of the time."""
    try:
        with torch.device("meta"):
            return build_model(config)
    except (RuntimeError, NotImplementedError, UsageError):  # some transformers compute with their initial weights
        return build_model(config).to("meta")


def natural_size(network: Model) -> int:
    """Height and width of the images that the network's classifier was made for, else 224."""
    # A classifier that pools takes a single unit of the coarsest map; only one that flattens it wants more.
    wants_more = network.smallest_image > network.backbone.specs[-1].stride
    return network.smallest_image if wants_more else USUAL_SIZE


def _describe_model(name: str, size: int | None, image: str | Path | None) -> Description:
    if image is None:
        card = read_card(find_model_file(name))
        network = build_without_weights(ModelConfig.parse(card.model, source="model"))
        own = card.pipeline.get("center_crop") or card.pipeline.get("size") or (natural_size(network),) * 2
        sides = (size, size) if size else (own[0], own[1])
        complexity = measure_complexity(network, network.config.in_channels, sides)
        return Description(name, network.config, complexity, pipeline=Pipeline.parse(card.pipeline, source=name))
    if size is not None:
        raise UsageError("the image has a size of its own; give either '--size' or '--image'")
    predictor = load(name, precision="fp32")
    subject = open_subject(predictor, image)
    height, width = subject.batch.shape[-2:]
    complexity = measure_complexity(subject.network, subject.network.config.in_channels, (height, width))
    return Description(name, subject.network.config, complexity, tuple(effective_fields(subject)), predictor.pipeline)


def _is_model(name: str) -> bool:
    """Whether a name means a trained model; raises `UsageError` where it means nothing.

    A backbone goes before a file or folder that happens to be called like it, but for a run's folder.
    """
    path = Path(name)
    if name.endswith(SUFFIX) or (path / RUN_MODEL).is_file():
        return True
    try:
        BACKBONES.get(name.partition("+")[0])
    except UsageError as unknown:
        try:
            find_model_file(name)
        except UsageError as no_model:
            raise (no_model if path.is_dir() else unknown) from None
        return True
    return False
