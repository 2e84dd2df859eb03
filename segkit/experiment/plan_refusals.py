"""Settings that would have no effect on the task, the data or the network at hand are refused, not ignored."""

from __future__ import annotations

from segkit.data.opening import OpenDataset
from segkit.errors import UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.losses import BORDER_WEIGHTED
from segkit.models.config import DENSE, ModelConfig
from segkit.models.factory import build_model
from segkit.models.heads.classify import ClassifyHead
from segkit.training.config import TrainingConfig


def refuse_idle_settings(config: ExperimentConfig, dataset: OpenDataset) -> None:
    """Raise `UsageError` for settings that the data's task would ignore."""
    task, heads = dataset.task, set(dataset.heads)
    whole, dense = heads == {"classify"}, bool(heads & set(DENSE))
    if config.task not in (None, task):
        raise UsageError(
            f"--task {config.task}: {dataset.root} has targets to {task}; leave --task out, or name other data"
        )
    if not dense and (config.model.decoder or config.model.decoder_options):
        raise UsageError(f"to {' and '.join(dataset.heads)} there is no decoder; leave out --decoder and its options")
    if "detect" not in heads and config.model.detect_options:
        raise UsageError("--detect-option: the network has no head of boxes; leave it out, or add --task detect")
    if whole and config.sampling.foreground_share:
        raise UsageError(f"foreground_share {config.sampling.foreground_share}: classification sees whole images")
    if whole and "loss" in config.training.model_fields_set and "dice" in config.training.loss:
        raise UsageError(f"--loss {config.training.loss}: Dice compares regions; classification takes ce or focal")
    if task == "detect" and config.training.loss != TrainingConfig().loss:
        raise UsageError(f"--loss {config.training.loss}: boxes have the loss of FCOS; leave it out")
    if task == "detect" and config.training.class_weights is not None:
        raise UsageError("--class-weights: boxes have the loss of FCOS, which has none; leave it out")
    if "classify" not in heads and config.training.label_smoothing:
        raise UsageError(f"label_smoothing {config.training.label_smoothing}: it is for classification only")
    if not whole and config.training.mixup:
        raise UsageError(f"--mixup {config.training.mixup:g}: it blends whole images, for classification only")
    if not whole and config.sampling.augment == "alexnet":
        raise UsageError("--augment alexnet: it crops whole images, for classification only")
    if config.training.mixup and config.training.batch_size == 1:
        raise UsageError(
            f"--mixup {config.training.mixup:g}: it blends images of one batch; take --batch-size 2 or more"
        )
    side_weight = config.training.auxiliary_weight
    if side_weight != TrainingConfig().auxiliary_weight and "classify" not in heads:
        raise UsageError(f"auxiliary_weight {side_weight:g}: only classifiers have side classifiers")
    weight, loss = config.training.border_weight, config.training.loss
    if weight and task != "segment":
        raise UsageError(f"--border-weight {weight:g}: it weights pixels of masks; to {task} there are none")
    if weight and loss not in BORDER_WEIGHTED:
        able = " or ".join(BORDER_WEIGHTED)
        raise UsageError(f"--border-weight {weight:g}: --loss {loss} cannot weight pixels; use {able}")
    if config.training.optimizer == "adamw" and config.training.momentum != TrainingConfig().momentum:
        raise UsageError(f"momentum {config.training.momentum:g}: only sgd has it; add --optimizer sgd")


def refuse_idle_loss(training: TrainingConfig, model: ModelConfig) -> None:
    """Raise `UsageError` for a loss, or class weights, beside a decoder that has losses of its own."""
    if not model.finds_objects:
        return
    if training.loss != TrainingConfig().loss:
        raise UsageError(f"--loss {training.loss}: decoder {model.decoder} has losses of its own; leave it out")
    if training.class_weights is not None:
        raise UsageError(f"--class-weights: decoder {model.decoder} has losses of its own; leave it out")


def refuse_idle_head_weights(training: TrainingConfig, model: ModelConfig) -> None:
    """Raise `UsageError` for weights of heads that the network has not, or has alone."""
    for head, weight in training.head_weights.items():
        if head not in model.heads or len(model.heads) == 1:
            raise UsageError(
                f"--head-weight {head}={weight:g}: it weighs several heads; the network has {', '.join(model.heads)}"
            )


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
