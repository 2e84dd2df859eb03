"""Settings that would have no effect on the task, the data or the network at hand are refused, not ignored."""

from __future__ import annotations

from segkit.data.opening import OpenDataset
from segkit.errors import UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.losses import BORDER_WEIGHTED
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.models.heads.classify import ClassifyHead
from segkit.training.config import TrainingConfig


def refuse_idle_settings(config: ExperimentConfig, dataset: OpenDataset) -> None:
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


def refuse_idle_side_weight(training: TrainingConfig, model: ModelConfig) -> None:
    """Raise `UsageError` for a weight of side classifiers that the network has not."""
    if training.auxiliary_weight == TrainingConfig().auxiliary_weight:
        return
    head = build_model(model).heads["classify"]
    if isinstance(head, ClassifyHead) and type(head).auxiliary is ClassifyHead.auxiliary:
        raise UsageError(
            f"auxiliary_weight {training.auxiliary_weight:g}: backbone {model.backbone} has no side classifiers; "
            "leave it out, or take googlenet or inception_v3"
        )
