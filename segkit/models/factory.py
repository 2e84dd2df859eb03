"""From names to a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES, Backbone
from segkit.models.config import DENSE, ModelConfig, Option
from segkit.models.decoders._base import DECODERS, Decoder
from segkit.models.model import Model
from segkit.models.options import check_options, default_options
from segkit.models.weights import load_weights
from segkit.structures import TaskName


def create_model(
    backbone: str | None = None,
    decoder: str | None = None,
    *,
    num_classes: int | None = None,
    in_channels: int = 3,
    task: TaskName = "segment",
    heads: Mapping[TaskName, int] | None = None,
    upsample: str | None = None,
    weights: str | Path = "none",
    backbone_options: Mapping[str, Option] | None = None,
    decoder_options: Mapping[str, Option] | None = None,
    detect_options: Mapping[str, Option] | None = None,
) -> Model:
    """Build a network and give it initial weights.

    Args:
        backbone: a name from `list_models()`; when None the decoder's namesake, as `unet2015`, else `plain`.
        decoder: a name from `list_models()`; when None and the task is `segment`, the backbone's namesake, else `unet`.
        num_classes: classes, background included where there is one; `heads` in its place for several heads.
        in_channels: channels of the images, 1 to 16.
        task: `segment` and `instances` give logits per pixel, `detect` boxes, `classify` logits per image.
        heads: what the network predicts, each with its number of classes: `{"segment": 3, "classify": 2}`.
        upsample: the decoder's option of that name.
        weights: `none`, published weights of the backbone such as `imagenet`, or a file; see `load_weights`.
        backbone_options: options of the backbone, for example `{"width": 24}`.
        decoder_options: options of the decoder.
        detect_options: options of the head of boxes, for example `{"channels": 64}`.

    Raises:
        UsageError: an unknown name or option, an option without effect, parts that do not fit, or weights that cannot
            be read.
    """
    options = dict(decoder_options or {})
    if upsample is not None:
        options["upsample"] = upsample
    if (heads is None) == (num_classes is None):
        raise UsageError("give num_classes for one task, or heads with the number of classes of each")
    predicted = {task: num_classes} if heads is None else dict(heads)
    if any(head in DENSE for head in predicted):
        backbone, decoder = pair_parts(backbone, decoder)
    config = ModelConfig.parse(
        {
            "heads": predicted,
            "backbone": backbone or "plain",
            "decoder": decoder,
            "in_channels": in_channels,
            "backbone_options": dict(backbone_options or {}),
            "decoder_options": options,
            "detect_options": dict(detect_options or {}),
        },
        source="model",
    )
    refuse_without_effect(config, config.backbone_options)
    model = build_model(config)
    load_weights(model, weights)
    return model


def build_model(config: ModelConfig) -> Model:
    """Build a network with fresh initial weights; never asks the network.

    Its `config` has every option resolved, so that it builds the same network when defaults change, but for those
    without effect: they are left out, also where `config` is that of a saved network and has them.
    """
    backbone, backbone_options = _build_backbone(config)
    decoder, decoder_options = _build_decoder(config, backbone)
    resolved = {
        "backbone_options": _storable(backbone_options),
        "decoder_options": _storable(decoder_options),
        "detect_options": _resolved_detect_options(config),
    }
    return Model(config.model_copy(update=resolved), backbone, decoder)


def pair_parts(backbone: str | None, decoder: str | None) -> tuple[str | None, str | None]:
    """The names, None replaced by the other's where a part of that name exists, as the other half of `unet2015`."""
    if backbone is None and decoder is not None and decoder in BACKBONES:
        return decoder, decoder
    if decoder is None and backbone is not None and backbone in DECODERS:
        return backbone, backbone
    return backbone, decoder


def preset_options(backbone: str, decoder: str | None) -> dict[str, Option]:
    """The options that the architecture of a decoder sets on a backbone, unless the user does."""
    entry = BACKBONES.get(backbone)
    if decoder is None or DECODERS.get(decoder).family != entry.family:
        return {}
    known = default_options(entry.build)
    return {name: value for name, value in DECODERS.get(decoder).backbone_options.items() if name in known}


def refuse_without_effect(config: ModelConfig, given: Iterable[str]) -> None:
    """Raise `UsageError` where one of the backbone's options that the user gave changes nothing in a network.

    Args:
        config: the network; its other options may come from saved weights.
        given: names of the options that were given.
    """
    entry, options = BACKBONES.get(config.backbone), _resolved_backbone_options(config)
    idle = entry.without_effect(options, config.heads)
    for name in given:
        if name in idle:
            raise UsageError(
                f"backbone {config.backbone}: option {name}={options[name]} has no effect: {idle[name]}; leave it out"
            )


def _build_backbone(config: ModelConfig) -> tuple[Backbone, dict[str, Any]]:
    entry, options = BACKBONES.get(config.backbone), _resolved_backbone_options(config)
    if config.task != "classify" and options.get("padded") is False:
        raise UsageError(
            f"backbone {config.backbone}: option padded=False is for --task classify; elsewhere maps keep "
            "their borders, so that they line up with the image; leave it out"
        )
    idle = entry.without_effect(options, config.heads)
    effective = {name: value for name, value in options.items() if name not in idle}
    return entry.build(config.in_channels, **options), effective


def _resolved_backbone_options(config: ModelConfig) -> dict[str, Any]:
    """All options of the backbone: the user's, else the decoder's and the task's, else the defaults."""
    entry = BACKBONES.get(config.backbone)
    preset = preset_options(config.backbone, config.decoder)
    if "padded" in default_options(entry.build):
        preset["padded"] = config.task != "classify"
    return check_options(f"backbone {config.backbone}", entry.build, {**preset, **config.backbone_options})


def _build_decoder(config: ModelConfig, backbone: Backbone) -> tuple[Decoder | None, dict[str, Any]]:
    if config.decoder is None:
        return None, {}
    entry = DECODERS.get(config.decoder)
    options = check_options(f"decoder {config.decoder}", entry.build, config.decoder_options)
    missing = entry.requirements(options) - backbone.capabilities
    if missing:
        able = [name for name in BACKBONES if missing <= BACKBONES.get(name).capabilities]
        raise UsageError(
            f"decoder {config.decoder} needs {', '.join(sorted(missing))}, which backbone {config.backbone} lacks; "
            f"backbones that have it: {', '.join(able)}"
        )
    if config.finds_objects:
        _require_instances_alone(config)
        return None, options
    classes = (_classes_of_dense_head(config),) if entry.scores_classes else ()
    decoder = entry.build(backbone.specs, *classes, **options)
    assert isinstance(decoder, Decoder)
    return decoder, options


def _require_instances_alone(config: ModelConfig) -> None:
    if set(config.heads) != {"instances"}:
        raise UsageError(
            f"decoder {config.decoder} finds objects one by one, for --task instances alone; to "
            f"{' and '.join(config.heads)} take another, such as unet"
        )


def _resolved_detect_options(config: ModelConfig) -> dict[str, Any]:
    if "detect" not in config.heads:
        return {}
    from segkit.models.heads.detect import check_detect_options  # of all heads, only this one needs torchvision

    return check_detect_options(config.detect_options)


def _classes_of_dense_head(config: ModelConfig) -> int:
    """The classes that a decoder scores itself; raises `UsageError` where two heads would read its logits."""
    counts = [config.heads[task] + (task == "instances") for task in DENSE if task in config.heads]
    if len(counts) > 1:
        raise UsageError(
            f"decoder {config.decoder} gives logits of one head; for {' and '.join(DENSE)} take another, such as unet"
        )
    return counts[0]


def _storable(options: Mapping[str, Any]) -> dict[str, Option]:
    """Options without those that are None: a model file holds values only."""
    return {name: value for name, value in options.items() if value is not None}
