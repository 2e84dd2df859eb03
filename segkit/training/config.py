"""How a network is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from segkit.config import Config
from segkit.structures import TaskName


class TrainingConfig(Config):
    """Settings of a training. `epochs` or `budget_seconds` says when it ends; a finished plan sets exactly one."""

    epochs: int | None = Field(None, ge=1, description="passes over the loader; None: the budget ends the run")
    budget_seconds: float | None = Field(
        None, gt=0, description="the whole run's time in seconds, validation included; None: epochs end it"
    )
    batch_size: int = Field(4, ge=1, description="images per step of the network")
    accumulate: int = Field(1, ge=1, description="steps of the network per step of the optimizer")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="adamw, or sgd with momentum")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd's; without Nesterov's look ahead")
    learning_rate: float = Field(1e-3, gt=0, description="the highest of the schedule, reached after the warm-up")
    weight_decay: float = Field(
        0.01, ge=0, description="decoupled for adamw, part of the gradient for sgd; norms and biases are not decayed"
    )
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the run in which the learning rate rises")
    ema_decay: float = Field(
        0.98, ge=0, lt=1, description="decay of the averaged weights, which are validated and saved; 0: no averaging"
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 where the device computes it in hardware"
    )
    channels_last: bool = Field(True, description="store images as N, H, W, C in memory, faster nearly everywhere")
    clip_norm: float | None = Field(1.0, gt=0, description="largest norm of the gradient; None: not limited")
    patience: int | None = Field(
        None, ge=1, description="stop after so many validations without a better score; None: never"
    )
    validate_every: int = Field(1, ge=1, description="epochs from one validation to the next, where epochs end the run")
    validations: int = Field(8, ge=2, description="validations where a budget ends the run; fewer when they are slow")
    checkpoint_seconds: float = Field(300.0, ge=0, description="the longest time between two checkpoints")
    loss: str = Field("ce_dice", description="ce_dice, ce, dice or focal")
    class_weights: Literal["balanced"] | tuple[float, ...] | None = Field(
        None, description="weight of each class in the loss; balanced: inverse to its share; None: equal"
    )
    head_weights: dict[TaskName, float] = Field(
        default_factory=dict,
        description="how much the loss of each of several heads counts; where not named 1, of labels 0.05",
    )
    border_weight: float = Field(
        0.0,
        ge=0,
        description="weight, on top of their class's, of the pixels where two objects meet, falling off around them "
        "(ce, ce_dice; 10 in the U-Net of 2015); 0: none",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of the loss that asks for every class alike (classification)"
    )
    mixup: float = Field(
        0.0,
        ge=0,
        description="alpha of mixup: images and losses are blended by Beta(alpha, alpha); 0: none (classification)",
    )
    auxiliary_weight: float = Field(
        0.3, ge=0, description="share of each side classifier's loss that is added (googlenet, inception_v3)"
    )
    workers: int = Field(2, ge=0, description="processes that read images ahead; 0: none")
    seed: int = Field(0, ge=0, description="seed of weights, order, augmentation and dropout")

    @model_validator(mode="after")
    def _check(self) -> TrainingConfig:
        if self.epochs is not None and self.budget_seconds is not None:
            raise ValueError("epochs and budget_seconds both end the run; give one of them")
        if any(weight <= 0 for weight in self.head_weights.values()):
            raise ValueError("head_weights: every weight is above 0")
        return self
