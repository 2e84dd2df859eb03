"""The network of a plan, and why."""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain
from pathlib import Path

from segkit.data.object_sizes import measure_objects
from segkit.data.opening import OpenDataset
from segkit.errors import SegkitError
from segkit.experiment.config import ModelSettings
from segkit.experiment.sampling import Reason
from segkit.modelfile import find_in_run, read_card
from segkit.models.config import DENSE, ModelConfig, Option
from segkit.models.factory import pair_parts, preset_options, refuse_without_effect
from segkit.structures import TaskName

LARGE_SIDE = 32
"""Pixels, four cells of the finest map on which boxes are learnt."""

_SHARES = {2: "half", 4: "a quarter of"}


def plan_network(
    given: ModelSettings, dataset: OpenDataset, channels: int, coarse: bool
) -> tuple[ModelConfig, list[Reason]]:
    """The network; the default one computes at half the image's resolution or less where `coarse`."""
    origin = _network_of(given.weights)
    asked, _ = pair_parts(given.backbone, given.decoder)
    backbone = asked or (origin.backbone if origin else _default_backbone(given.weights))
    if origin and origin.backbone != backbone:
        origin = None  # another network was asked for: what fits of the weights, loading says
    _, decoder = pair_parts(backbone, given.decoder or _inherited_decoder(origin, dataset.heads))
    is_dense = any(head in DENSE for head in dataset.heads)
    decoder = decoder or "unet" if is_dense else None
    why = "trains from scratch in minutes, also on a CPU"
    if given.backbone or given.decoder:
        why = "as asked"
    elif origin:
        why = "that of the initial weights"
    elif given.weights == "imagenet":
        why = "has published ImageNet weights"
    reasons = [(f"network {'-'.join(filter(None, (decoder, backbone)))}", why)]
    backbone_options, decoder_options = given.backbone_options, given.decoder_options
    if origin:
        backbone_options = {**_inherited_options(origin, decoder), **backbone_options}
        if origin.decoder == decoder:
            decoder_options = {**origin.decoder_options, **decoder_options}
    if coarse and backbone == "plain" and decoder in ("unet", "maskrcnn", None) and "pattern" not in backbone_options:
        stem_stride, why_coarse = _stem_stride(dataset)
        backbone_options = {"width": 32, "stem_stride": stem_stride, **backbone_options}
        if decoder == "unet":
            decoder_options = {"out_stride": backbone_options["stem_stride"], **decoder_options}
        if backbone_options["stem_stride"] == stem_stride:
            reasons.append((f"maps at {_SHARES[stem_stride]} the image's size", why_coarse))
    config = ModelConfig(
        heads={task: classes.num_classes for task, classes in dataset.heads.items()},
        backbone=backbone,
        decoder=decoder,
        in_channels=channels,
        backbone_options=backbone_options,
        decoder_options=decoder_options,
        detect_options=given.detect_options,
    )
    refuse_without_effect(config, given.backbone_options)
    return config, reasons


def _stem_stride(dataset: OpenDataset) -> tuple[int, str]:
    """Pixels of the image per pixel of the finest map, and why: fewer positions are more steps in the same time."""
    if set(dataset.heads) == {"detect"}:
        areas = sorted(chain.from_iterable(measure_objects(dataset).areas.values()))
        if areas and areas[len(areas) // 10] > LARGE_SIDE**2:
            return 4, f"nine of ten objects are larger than {LARGE_SIDE}×{LARGE_SIDE}, and steps are faster"
    return 2, "several times the steps in the same time"


def _default_backbone(weights: str) -> str:
    return "smp/resnet34" if weights == "imagenet" else "plain"


def _network_of(weights: str) -> ModelConfig | None:
    """The network of a segkit model or run named as initial weights; None for others, and what loading will refuse."""
    if not Path(weights).exists():
        return None
    try:
        return ModelConfig.parse(read_card(find_in_run(weights)).model, source=weights)
    except SegkitError:
        return None


def _inherited_decoder(origin: ModelConfig | None, heads: Collection[TaskName]) -> str | None:
    """The decoder of the initial weights' network; not one of objects where other heads are learnt."""
    if origin is None or (origin.finds_objects and set(heads) != {"instances"}):
        return None
    return origin.decoder


def _inherited_options(origin: ModelConfig, decoder: str | None) -> dict[str, Option]:
    """The backbone's options of the initial weights' network that a network with `decoder` keeps.

    Not whether borders are padded, which follows from the task, nor, beside another decoder, what either decoder sets:
    nobody chose it, and this one's architecture has a value of its own.
    """
    decided = {"padded"}
    if decoder != origin.decoder:
        decided |= {*preset_options(origin.backbone, origin.decoder), *preset_options(origin.backbone, decoder)}
    return {name: value for name, value in origin.backbone_options.items() if name not in decided}
