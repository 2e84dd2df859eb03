"""The plan: every choice the user left open, made from the data and the machine, with its reason.

| choice | default |
| --- | --- |
| network | that of the initial weights; else `plain`, and to segment a decoder of the backbone's name, else `unet` |
| resolution of the maps | half the image's on a CPU where crops are at least 128, else the image's |
| augmentation | `light` up to about 50 passes over the images, `standard` for more |
| crop | 256, or the multiple of 32 that holds an image where the images are smaller |
| size (classification) | 128, or the longest side where all images are smaller |
| batch | segmentation 4 on a CPU, 16 on a GPU; classification 32 and 128 |
| budget | 10 minutes on a CPU, 30 on a GPU, unless `--epochs` or `--budget` is given |
| loss | `ce_dice`, cross-entropy and Dice; `ce` for classification |
| optimizer | `adamw` |
| learning rate | 3e-3 for `plain`, 1e-3 for the others; with `sgd` 0.01, as AlexNet and VGG were trained |
| weight decay | 0.01 for `adamw`, none for `sgd` |
| precision | bf16 where the device computes it in hardware, else fp32 |
| workers | 2 on a CPU, which computes most of the time; one per processor up to 8 on a GPU |
| draws per image | as many crops as cover the image |
| foreground share | 1/3 where a foreground class has less than 5 % of the pixels, else 0 |
| orientation | free unless a class keeps to the upper or lower half of the masks (see `orientation`) |
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from segkit.data.opening import OpenDataset
from segkit.errors import SegkitError, UsageError
from segkit.experiment.config import ExperimentConfig, ModelSettings, SamplingSettings
from segkit.experiment.duration import format_duration
from segkit.experiment.sampling import (
    DEFAULT_BUDGET,
    Reason,
    RunLength,
    Sampling,
    plan_crops,
    plan_whole_images,
)
from segkit.losses import BORDER_WEIGHTED
from segkit.modelfile import find_in_run, read_card
from segkit.models.config import ModelConfig, Option
from segkit.models.factory import build_model, pair_parts, preset_options, refuse_without_effect
from segkit.models.heads.classify import ClassifyHead
from segkit.pipeline import Pipeline
from segkit.training.config import TrainingConfig
from segkit.training.precision import choose_precision

COARSE_CROP = 128
"""Crops from this size on are decoded at half resolution on a CPU; smaller images may hang on single pixels."""

LEARNING_RATE_SGD = 0.01
"""The initial rate of AlexNet and VGG: Krizhevsky et al. 2012, section 5; Simonyan & Zisserman 2015, section 3.1."""


@dataclass(frozen=True)
class Plan:
    """A run with nothing left open.

    Attributes:
        config: the settings, resolved.
        model: the network.
        pipeline: pre- and postprocessing; `stride_multiple` and `margin` are the network's, filled in once it is built.
        sampling: crops and augmentation.
        fingerprint: what the data set measured.
        reasons: choices and reasons, in the order they are printed.
    """

    config: ExperimentConfig
    model: ModelConfig
    pipeline: Pipeline
    sampling: Sampling
    fingerprint: dict[str, Any]
    reasons: tuple[Reason, ...]


def make_plan(
    config: ExperimentConfig, dataset: OpenDataset, fingerprint: dict[str, Any], device: torch.device
) -> Plan:
    """Decide everything `config` leaves open.

    Args:
        config: what the user asked for.
        dataset: the checked data set.
        fingerprint: its measurements.
        device: where the run computes.

    Raises:
        UsageError: settings that do not fit the task or the data.
    """
    task = dataset.task
    _refuse_without_effect(config, dataset)
    counts = fingerprint["class_images" if task == "classify" else "class_pixels"]["train"]
    intensities = fingerprint["intensities"]
    plan_sampling = plan_whole_images if task == "classify" else plan_crops
    sampling, why_sampling = plan_sampling(config.sampling, dataset, counts, RunLength(config.training, device))
    coarse = task == "segment" and device.type == "cpu" and sampling.crop >= COARSE_CROP
    model, why_model = _plan_model(config.model, dataset, channels=len(intensities["mean"]), coarse=coarse)
    _refuse_idle_side_weight(config.training, model)
    training, why_training = _plan_training(config.training, model, counts, device)
    pipeline = Pipeline(
        channels=model.in_channels,
        convert=config.data.channels,
        axis=config.data.axis,
        low=intensities["low"],
        high=intensities["high"],
        mean=tuple(intensities["mean"]),
        std=tuple(intensities["std"]),
        precision="bf16" if training.precision == "bf16" else "fp32",
        **(_whole_image(sampling) if task == "classify" else {}),
    )
    resolved = config.model_copy(
        update={
            "task": task,
            "model": config.model.model_copy(update={"backbone": model.backbone, "decoder": model.decoder}),
            "sampling": SamplingSettings(**vars(sampling)),
            "training": training,
        }
    )
    return Plan(resolved, model, pipeline, sampling, fingerprint, (*why_model, *why_sampling, *why_training))


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """A weight per class inverse to its count, 1 on average over the counted things: n / (K * count)."""
    return tuple(sum(counts) / (len(counts) * max(1, count)) for count in counts)


def _whole_image(sampling: Sampling) -> dict[str, Any]:
    """The pipeline's settings for whole images: resized to one size, and with `alexnet` their middle seen."""
    size = (sampling.resized_side, sampling.resized_side)
    if sampling.augment != "alexnet":
        return {"size": size}
    return {"size": size, "keep_proportions": True, "center_crop": (sampling.crop, sampling.crop)}


def _refuse_without_effect(config: ExperimentConfig, dataset: OpenDataset) -> None:
    """Raise `UsageError` for settings that the data's task would ignore."""
    task = dataset.task
    if config.task not in (None, task):
        raise UsageError(
            f"--task {config.task}: {dataset.root} has targets to {task}; leave --task out, or name other data"
        )
    if task == "classify" and (config.model.decoder or config.model.decoder_options):
        raise UsageError("classification has no decoder; leave out --decoder and its options")
    if task == "classify" and config.sampling.foreground_share:
        raise UsageError(f"foreground_share {config.sampling.foreground_share}: classification sees whole images")
    if task == "classify" and "loss" in config.training.model_fields_set and "dice" in config.training.loss:
        raise UsageError(f"--loss {config.training.loss}: Dice compares regions; classification takes ce or focal")
    if task == "segment" and config.training.label_smoothing:
        raise UsageError(f"label_smoothing {config.training.label_smoothing}: it is for classification only")
    if task == "segment" and config.training.mixup:
        raise UsageError(f"--mixup {config.training.mixup:g}: it blends whole images, for classification only")
    if task == "segment" and config.sampling.augment == "alexnet":
        raise UsageError("--augment alexnet: it crops whole images, for classification only")
    if config.training.mixup and config.training.batch_size == 1:
        raise UsageError(
            f"--mixup {config.training.mixup:g}: it blends images of one batch; take --batch-size 2 or more"
        )
    side_weight = config.training.auxiliary_weight
    if side_weight != TrainingConfig().auxiliary_weight and task == "segment":
        raise UsageError(f"auxiliary_weight {side_weight:g}: only classifiers have side classifiers")
    weight, loss = config.training.border_weight, config.training.loss
    if weight and task == "classify":
        raise UsageError(f"--border-weight {weight:g}: it weights pixels; classification has none")
    if weight and loss not in BORDER_WEIGHTED:
        able = " or ".join(BORDER_WEIGHTED)
        raise UsageError(f"--border-weight {weight:g}: --loss {loss} cannot weight pixels; use {able}")
    if config.training.optimizer == "adamw" and config.training.momentum != TrainingConfig().momentum:
        raise UsageError(f"momentum {config.training.momentum:g}: only sgd has it; add --optimizer sgd")


def _refuse_idle_side_weight(training: TrainingConfig, model: ModelConfig) -> None:
    """Raise `UsageError` for a weight of side classifiers that the network has not."""
    if training.auxiliary_weight == TrainingConfig().auxiliary_weight:
        return
    head = build_model(model).heads["classify"]
    if isinstance(head, ClassifyHead) and type(head).auxiliary is ClassifyHead.auxiliary:
        raise UsageError(
            f"auxiliary_weight {training.auxiliary_weight:g}: backbone {model.backbone} has no side classifiers; "
            "leave it out, or take googlenet or inception_v3"
        )


def _plan_model(
    given: ModelSettings, dataset: OpenDataset, channels: int, coarse: bool
) -> tuple[ModelConfig, list[Reason]]:
    """The network; the default one computes at half the image's resolution where `coarse`."""
    origin = _network_of(given.weights)
    asked, _ = pair_parts(given.backbone, given.decoder)
    backbone = asked or (origin.backbone if origin else _default_backbone(given.weights))
    if origin and origin.backbone != backbone:
        origin = None  # another network was asked for: what fits of the weights, loading says
    _, decoder = pair_parts(backbone, given.decoder or (origin.decoder if origin else None))
    decoder = None if dataset.task == "classify" else decoder or "unet"
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
    if coarse and (backbone, decoder) == ("plain", "unet") and "pattern" not in backbone_options:
        backbone_options = {"width": 32, "stem_stride": 2, **backbone_options}
        decoder_options = {"out_stride": backbone_options["stem_stride"], **decoder_options}
        if backbone_options["stem_stride"] == 2:
            reasons.append(("maps at half the image's size", "several times the steps in the same time"))
    config = ModelConfig(
        task=dataset.task,
        backbone=backbone,
        decoder=decoder,
        num_classes=dataset.classes.num_classes,
        in_channels=channels,
        backbone_options=backbone_options,
        decoder_options=decoder_options,
    )
    refuse_without_effect(config, given.backbone_options)
    return config, reasons


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


def _inherited_options(origin: ModelConfig, decoder: str | None) -> dict[str, Option]:
    """The backbone's options of the initial weights' network that a network with `decoder` keeps.

    Not whether borders are padded, which follows from the task, nor, beside another decoder, what either decoder sets:
    nobody chose it, and this one's architecture has a value of its own.
    """
    decided = {"padded"}
    if decoder != origin.decoder:
        decided |= {*preset_options(origin.backbone, origin.decoder), *preset_options(origin.backbone, decoder)}
    return {name: value for name, value in origin.backbone_options.items() if name not in decided}


def _plan_training(
    given: TrainingConfig, model: ModelConfig, counts: Mapping[str, int], device: torch.device
) -> tuple[TrainingConfig, list[Reason]]:
    """Fill in what was not set; `model_fields_set` tells a default from a value that was asked for."""
    gpu, precision = device.type == "cuda", choose_precision(given.precision, device)
    sgd = given.optimizer == "sgd"
    suits = "that of AlexNet and VGG" if sgd else f"suits {model.backbone}"
    small, large = (4, 16) if model.task == "segment" else (32, 128)
    planned: dict[str, Any] = {
        "batch_size": large if gpu else small,
        "learning_rate": 3e-3 if model.backbone == "plain" else 1e-3,
        "workers": min(8, os.cpu_count() or 1) if gpu else 2,
    }
    if sgd:
        planned |= {"learning_rate": LEARNING_RATE_SGD, "weight_decay": 0.0}
    if model.task == "classify":
        planned["loss"] = "ce"
    if given.epochs is None and given.budget_seconds is None:
        planned["budget_seconds"] = DEFAULT_BUDGET[gpu]
    changes = {name: value for name, value in planned.items() if name not in given.model_fields_set}
    weights = balanced_weights(list(counts.values())) if given.class_weights == "balanced" else given.class_weights
    training = given.model_copy(update={**changes, "precision": precision.name, "class_weights": weights})
    length = f"{training.epochs} epochs" if training.epochs else format_duration(training.budget_seconds or 0)

    def why(name: str, reason: str) -> str:
        return reason if name in changes else "as asked"

    reasons = [
        (length, why("budget_seconds", "neither --epochs nor --budget was given")),
        (f"batches of {training.batch_size}", why("batch_size", "many small steps do more than few large ones")),
        (f"learning rate {training.learning_rate:g}", why("learning_rate", suits)),
        (f"precision {precision.name}", precision.reason),
    ]
    if sgd:
        decay = f"{training.weight_decay:g}" if training.weight_decay else "no"
        reasons.append((f"SGD with momentum {training.momentum:g} and {decay} weight decay", "as asked"))
    if training.mixup:
        reasons.append((f"mixup with alpha {training.mixup:g}", "as asked"))
    if training.border_weight:
        reasons.append((f"up to {training.border_weight:g} added to the weight of pixels between objects", "as asked"))
    if weights is not None:
        listed = ", ".join(f"{name} {weight:.2g}" for name, weight in zip(counts, weights, strict=False))
        reasons.append((f"class weights {listed}", "as asked"))
    return training, reasons
