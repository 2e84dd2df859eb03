"""The plan: every choice the user left open, made from the data and the machine, with its reason.

| choice | default |
| --- | --- |
| network | `plain` with the `unet` decoder, `plain` alone for classification: trains from scratch in minutes |
| crop | 256, or the multiple of 32 that holds an image where the images are smaller |
| size (classification) | 128, or the longest side where all images are smaller |
| batch | segmentation 4 on a CPU, 16 on a GPU; classification 32 and 128 |
| budget | 10 minutes on a CPU, 30 on a GPU, unless `--epochs` or `--budget` is given |
| learning rate | 3e-3 for `plain`, 1e-3 for the others |
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
from math import ceil
from statistics import median
from typing import Any

import torch

from segkit.data.dataset import load_sample
from segkit.data.opening import OpenDataset
from segkit.errors import UsageError
from segkit.experiment.config import ExperimentConfig, ModelSettings, SamplingSettings
from segkit.experiment.duration import format_duration
from segkit.experiment.orientation import IMAGES, has_up
from segkit.models.config import ModelConfig
from segkit.pipeline import Pipeline
from segkit.training.config import TrainingConfig
from segkit.training.precision import choose_precision

CROP = 256
CLASSIFY_SIDE = 128
RARE = 0.05


@dataclass(frozen=True)
class Plan:
    """A run with nothing left open.

    Attributes:
        config: the settings, resolved.
        model: the network.
        pipeline: pre- and postprocessing; `stride_multiple` and `margin` are the network's, filled in once it is built.
        fingerprint: what the data set measured.
        reasons: choice and reason, in the order they are printed.
    """

    config: ExperimentConfig
    model: ModelConfig
    pipeline: Pipeline
    fingerprint: dict[str, Any]
    reasons: tuple[tuple[str, str], ...]


def make_plan(
    config: ExperimentConfig, dataset: OpenDataset, fingerprint: dict[str, Any], device: torch.device
) -> Plan:
    """Decide everything `config` leaves open.

    Args:
        config: what the user asked for.
        dataset: the checked data set.
        fingerprint: its measurements.
        device: where the run computes.
    """
    task = config.task or dataset.task
    if task != dataset.task:
        raise UsageError(
            f"--task {task}: {dataset.root} has targets to {dataset.task}; leave --task out, or name other data"
        )
    reasons: list[tuple[str, str]] = []
    model = _plan_model(config.model, task, reasons)
    pixels = fingerprint["class_images" if task == "classify" else "class_pixels"]["train"]
    sampling = _plan_sampling(config.sampling, task, dataset, pixels, reasons)
    training = _plan_training(config.training, model, task, pixels, device, reasons)
    intensities = fingerprint["intensities"]
    channels = len(intensities["mean"])
    assert model.backbone is not None
    assert sampling.crop is not None
    pipeline = Pipeline(
        channels=channels,
        convert=config.data.channels,
        low=intensities["low"],
        high=intensities["high"],
        mean=tuple(intensities["mean"]),
        std=tuple(intensities["std"]),
        size=(sampling.crop, sampling.crop) if task == "classify" else None,
        precision="bf16" if training.precision == "bf16" else "fp32",
    )
    network = ModelConfig(
        task=task,
        backbone=model.backbone,
        decoder=model.decoder,
        num_classes=dataset.classes.num_classes,
        in_channels=channels,
        backbone_options=model.backbone_options,
        decoder_options=model.decoder_options,
    )
    resolved = config.model_copy(update={"task": task, "model": model, "sampling": sampling, "training": training})
    return Plan(resolved, network, pipeline, fingerprint, tuple(reasons))


def _plan_model(given: ModelSettings, task: str, reasons: list[tuple[str, str]]) -> ModelSettings:
    if task == "classify" and given.decoder is not None:
        raise UsageError(f"--decoder {given.decoder}: classification has no decoder; leave it out, or train on masks")
    backbone = given.backbone or ("smp/resnet34" if given.weights == "imagenet" else "plain")
    decoder = (given.decoder or "unet") if task == "segment" else None
    asked = "as asked" if given.backbone or given.decoder else "trains from scratch in minutes, also on a CPU"
    if given.weights == "imagenet" and not given.backbone:
        asked = "has published ImageNet weights"
    reasons.append((f"network {'-'.join(filter(None, (decoder, backbone)))}", asked))
    return given.model_copy(update={"backbone": backbone, "decoder": decoder})


def _plan_sampling(
    given: SamplingSettings,
    task: str,
    dataset: OpenDataset,
    pixels: Mapping[str, int],
    reasons: list[tuple[str, str]],
) -> SamplingSettings:
    sizes = [dataset.facts.images[record.id].size for record in dataset.split("train")]
    if task == "classify":
        longest = max(max(size) for size in sizes)
        crop = given.crop or min(CLASSIFY_SIDE, 32 * ceil(longest / 32))
        reasons.append((f"images resized to {crop}×{crop}", "as asked" if given.crop else "one size for all"))
        return given.model_copy(
            update={
                "crop": crop,
                "draws_per_image": given.draws_per_image or 1,
                "foreground_share": 0.0,
                "orientation_free": bool(given.orientation_free),
            }
        )
    height, width = (median(side) for side in zip(*sizes, strict=True))
    crop = given.crop or min(CROP, 32 * ceil(max(height, width) / 32))
    draws = given.draws_per_image or max(1, round(height * width / crop**2))
    reasons.append(
        (f"crops of {crop}×{crop}, {draws} per image and epoch", f"images are {height:.0f}×{width:.0f} (median)")
    )
    share, why_share = _foreground_share(given, dataset, pixels)
    reasons.append((f"{share:.0%} of the crops around a class drawn at random", why_share))
    free, why_free = _orientation(given, dataset)
    reasons.append((f"augmentation {given.augment}{', turned and flipped freely' if free else ''}", why_free))
    return given.model_copy(
        update={"crop": crop, "draws_per_image": draws, "foreground_share": share, "orientation_free": free}
    )


def _foreground_share(given: SamplingSettings, dataset: OpenDataset, pixels: Mapping[str, int]) -> tuple[float, str]:
    if given.foreground_share is not None:
        return given.foreground_share, "as asked"
    foreground = [dataset.classes.names[index] for index in dataset.classes.foreground]
    shares = {name: pixels[name] / max(1, sum(pixels.values())) for name in foreground}
    rarest = min(shares, key=lambda name: shares[name])
    if shares[rarest] < RARE:
        return 1 / 3, f"{rarest} has {shares[rarest]:.1%} of the training pixels"
    return 0.0, f"no class is rare, {rarest} has {shares[rarest]:.0%} of the training pixels"


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """A weight per class inverse to its count, 1 on average over the counted things: n / (K * count)."""
    return tuple(sum(counts) / (len(counts) * max(1, count)) for count in counts)


def _orientation(given: SamplingSettings, dataset: OpenDataset) -> tuple[bool, str]:
    if given.orientation_free is not None:
        return given.orientation_free, "as asked"
    records = dataset.split("train")
    seen = [load_sample(record, dataset.classes).mask for record in records[:: max(1, len(records) // IMAGES)][:IMAGES]]
    if has_up([mask for mask in seen if mask is not None], dataset.classes):
        return False, "the masks have an up and a down"
    return True, "the masks look alike upside down"


def _plan_training(
    given: TrainingConfig,
    model: ModelSettings,
    task: str,
    counts: Mapping[str, int],
    device: torch.device,
    reasons: list[tuple[str, str]],
) -> TrainingConfig:
    gpu = device.type == "cuda"
    batch_size = {("segment", False): 4, ("segment", True): 16, ("classify", False): 32, ("classify", True): 128}[
        task, gpu
    ]
    precision = choose_precision(given.precision, device)
    planned: dict[str, Any] = {
        "batch_size": batch_size,
        "learning_rate": 3e-3 if model.backbone == "plain" else 1e-3,
        "workers": min(8, os.cpu_count() or 1) if gpu else 2,
    }
    if given.epochs is None and given.budget_seconds is None:
        planned["budget_seconds"] = 1800.0 if gpu else 600.0
    if given.class_weights == "balanced":
        weights = balanced_weights(list(counts.values()))
        planned["class_weights"] = weights
        listed = ", ".join(f"{name} {weight:.2g}" for name, weight in zip(counts, weights, strict=True))
        reasons.append((f"class weights {listed}", "inverse to the share of the training part"))
    open_choices = {
        name: value for name, value in planned.items() if name not in given.model_fields_set or name == "class_weights"
    }
    training = given.model_copy(update={**open_choices, "precision": precision.name})
    length = f"{training.epochs} epochs" if training.epochs else format_duration(training.budget_seconds or 0)
    why = "short runs gain from many steps" if "batch_size" in open_choices else "as asked"
    reasons.append((f"{length}, batches of {training.batch_size}, learning rate {training.learning_rate:g}", why))
    reasons.append((f"precision {precision.name}", precision.reason))
    return training
