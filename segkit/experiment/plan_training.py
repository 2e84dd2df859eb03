"""How a plan trains its network, and why: length, batch, rate, precision, weights of the classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from segkit.experiment.duration import format_duration
from segkit.experiment.sampling import CROP, DEFAULT_BUDGET, Reason
from segkit.models.config import ModelConfig
from segkit.training.config import TrainingConfig
from segkit.training.precision import choose_precision

LEARNING_RATE_SGD = 0.01
"""The initial rate of AlexNet and VGG: Krizhevsky et al. 2012, section 5; Simonyan & Zisserman 2015, section 3.1."""

LARGEST_GROWTH = {False: 2, True: 8}
"""Times that batches of small crops are larger than those of large ones, at most, without and with a GPU.

The default network on one core took 15 crops of 64 x 64 per second in batches of 4, 26 in those of 8 and of 16, and 20
in those of 32: a processor is busy with little.
"""

LABEL_WEIGHT = 0.05
"""How much the loss of labels counts beside that of masks or boxes, in the loss of several heads.

One label says of a whole image what masks and boxes say place by place: its gradient in the backbone was ten times
theirs in the first steps on the sample set, and where it counted 1 the boxes reached AP50 0.84 in place of 0.90.
"""

LEAST_STEPS = 8
"""Steps that are left of an epoch where small crops make batches larger."""


class Crops(NamedTuple):
    """What an epoch shows: crops of `side` x `side` pixels, `per_epoch` of them."""

    side: int
    per_epoch: int


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """A weight per class inverse to its count, 1 on average over the counted things: n / (K * count)."""
    return tuple(sum(counts) / (len(counts) * max(1, count)) for count in counts)


def plan_training(
    given: TrainingConfig, model: ModelConfig, counts: Mapping[str, int], crops: Crops, device: torch.device
) -> tuple[TrainingConfig, list[Reason]]:
    """Fill in what was not set; `model_fields_set` tells a default from a value that was asked for.

    Args:
        given: what was asked for.
        model: the network.
        counts: training pixels, or images, of each class by name.
        crops: what an epoch shows.
        device: where the run computes.
    """
    gpu, precision = device.type == "cuda", choose_precision(given.precision, device)
    sgd = given.optimizer == "sgd"
    suits = "that of AlexNet and VGG" if sgd else f"suits {model.backbone}"
    batch_size, why_batch = _batch_size(model, crops, gpu)
    planned: dict[str, Any] = {
        "batch_size": batch_size,
        "learning_rate": 3e-3 if model.backbone == "plain" else 1e-3,
        "workers": min(8, os.cpu_count() or 1) if gpu else 2,
    }
    if sgd:
        planned |= {"learning_rate": LEARNING_RATE_SGD, "weight_decay": 0.0}
    if model.only_classifies:
        planned["loss"] = "ce"
    weighs_labels = len(model.heads) > 1 and "classify" in model.heads
    if given.epochs is None and given.budget_seconds is None:
        planned["budget_seconds"] = DEFAULT_BUDGET[gpu]
    changes = {name: value for name, value in planned.items() if name not in given.model_fields_set}
    if weighs_labels:
        changes["head_weights"] = {"classify": LABEL_WEIGHT, **given.head_weights}
    weights = balanced_weights(list(counts.values())) if given.class_weights == "balanced" else given.class_weights
    training = given.model_copy(update={**changes, "precision": precision.name, "class_weights": weights})
    length = f"{training.epochs} epochs" if training.epochs else format_duration(training.budget_seconds or 0)

    def why(name: str, reason: str) -> str:
        return reason if name in changes else "as asked"

    reasons = [
        (length, why("budget_seconds", "neither --epochs nor --budget was given")),
        (f"batches of {training.batch_size}", why("batch_size", why_batch)),
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
    if weighs_labels:
        asked = "classify" in given.head_weights
        pulls = "as asked" if asked else "a label pulls harder at the backbone than what is learnt place by place"
        reasons.append((f"labels count {training.head_weights['classify']:g} in the loss", pulls))
    if weights is not None:
        listed = ", ".join(f"{name} {weight:.2g}" for name, weight in zip(counts, weights, strict=False))
        reasons.append((f"class weights {listed}", "as asked"))
    elif "dice" in training.loss and model.is_dense:
        reasons.append(("no class weights", "the Dice half of the loss counts classes alike, however rare"))
    return training, reasons


def _batch_size(model: ModelConfig, crops: Crops, gpu: bool) -> tuple[int, str]:
    """The images of a step, and why: those of small crops together have no more pixels than those of large ones."""
    small, large = (32, 128) if model.only_classifies else (4, 16)
    usual = large if gpu else small
    if not model.only_classifies and crops.side < CROP:
        growth = min((CROP // crops.side) ** 2, LARGEST_GROWTH[gpu], crops.per_epoch // (usual * LEAST_STEPS))
        if growth > 1:
            return usual * growth, f"crops are small: more of them per second than in batches of {usual}"
    return usual, "many small steps do more than few large ones"
