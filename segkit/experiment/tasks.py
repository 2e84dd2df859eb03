"""The losses of a run: one task per head of the network, joined where there are several."""

from __future__ import annotations

from segkit.losses import create_loss
from segkit.models.config import ModelConfig
from segkit.models.heads.maskrcnn import MaskRcnnHead
from segkit.models.model import Model
from segkit.structures import TaskName
from segkit.tasks import ClassifyTask, CombinedTask, DetectTask, MaskRcnnTask, PixelTask, Task
from segkit.training.config import TrainingConfig

CLASSIFICATION_LOSS = "ce"
"""Of a head that classifies beside others, for which `loss` is meant."""


def create_task(config: TrainingConfig, network: Model) -> Task:
    """What the network learns.

    Args:
        config: losses and their weights, resolved by the plan.
        network: what learns; where it finds objects one by one, the loss asks its head for the regions it draws.

    Raises:
        UsageError: an unknown loss, or class weights that do not fit the main head's classes.
    """
    model = network.config
    if model.finds_objects:
        head = network.heads["instances"]
        assert isinstance(head, MaskRcnnHead)
        return MaskRcnnTask(head)
    tasks = {head: _task_of(head, config, model) for head in model.heads}
    if len(tasks) == 1:
        return tasks[model.task]
    return CombinedTask(tasks, {head: config.head_weights.get(head, 1.0) for head in tasks})


def _task_of(head: TaskName, config: TrainingConfig, model: ModelConfig) -> Task:
    if head == "detect":
        return DetectTask()
    assert config.class_weights != "balanced"  # the plan has made numbers of it
    is_main = head == model.task
    loss = config.loss if is_main or head != "classify" else CLASSIFICATION_LOSS
    weights = config.class_weights if is_main else None
    num_classes = model.heads[head]
    if head == "classify":
        criterion = create_loss(loss, num_classes, weights)
        return ClassifyTask(criterion, config.label_smoothing, config.auxiliary_weight, config.mixup)
    border = 1 if head == "instances" else 0
    return PixelTask(head, create_loss(loss, num_classes + border, weights))
