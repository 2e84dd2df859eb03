"""From names to a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from segkit.errors import UsageError
from segkit.models.backbones._base import BACKBONES, Backbone
from segkit.models.config import ModelConfig, Option
from segkit.models.decoders._base import DECODERS, Decoder
from segkit.models.model import Model
from segkit.models.options import check_options, default_options
from segkit.models.weights import load_weights


def create_model(
    backbone: str = "plain",
    decoder: str | None = None,
    *,
    num_classes: int,
    in_channels: int = 3,
    task: Literal["segment", "classify"] = "segment",
    upsample: str | None = None,
    weights: str | Path = "none",
    backbone_options: Mapping[str, Option] | None = None,
    decoder_options: Mapping[str, Option] | None = None,
) -> Model:
    """Build a network and give it initial weights.

    Args:
        backbone: a name from `list_models()`.
        decoder: a name from `list_models()`; `unet` when None and the task is `segment`.
        num_classes: classes, background included.
        in_channels: channels of the images, 1 to 16.
        task: `segment` gives logits per pixel, `classify` per image.
        upsample: the decoder's option of that name.
        weights: `none`, published weights of the backbone such as `imagenet`, or a file; see `load_weights`.
        backbone_options: options of the backbone, for example `{"width": 24}`.
        decoder_options: options of the decoder.

    Raises:
        UsageError: an unknown name or option, parts that do not fit, or weights that cannot be read.
    """
    options = dict(decoder_options or {})
    if upsample is not None:
        options["upsample"] = upsample
    config = ModelConfig.parse(
        {
            "task": task,
            "backbone": backbone,
            "decoder": decoder,
            "num_classes": num_classes,
            "in_channels": in_channels,
            "backbone_options": dict(backbone_options or {}),
            "decoder_options": options,
        },
        source="model",
    )
    model = build_model(config)
    load_weights(model, weights)
    return model


def build_model(config: ModelConfig) -> Model:
    """Build a network with fresh initial weights; never asks the network.

    Its `config` has every option resolved, so that it builds the same network when defaults change.
    """
    backbone, backbone_options = _build_backbone(config)
    decoder, decoder_options = _build_decoder(config, backbone)
    resolved = {"backbone_options": _storable(backbone_options), "decoder_options": _storable(decoder_options)}
    return Model(config.model_copy(update=resolved), backbone, decoder)


def _build_backbone(config: ModelConfig) -> tuple[Backbone, dict[str, Any]]:
    entry = BACKBONES.get(config.backbone)
    known = default_options(entry.build)
    decoder = DECODERS.get(config.decoder) if config.decoder else None
    preset: dict[str, Option] = {"padded": config.task == "segment"}
    if decoder and decoder.family == entry.family:
        preset |= decoder.backbone_options
    preset = {name: value for name, value in preset.items() if name in known}
    options = check_options(f"backbone {config.backbone}", entry.build, {**preset, **config.backbone_options})
    return entry.build(config.in_channels, **options), options


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
    classes = (config.num_classes,) if entry.scores_classes else ()
    return entry.build(backbone.specs, *classes, **options), options


def _storable(options: Mapping[str, Any]) -> dict[str, Option]:
    """Options without those that are None: a model file holds values only."""
    return {name: value for name, value in options.items() if value is not None}
