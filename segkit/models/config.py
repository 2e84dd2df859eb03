"""What a network is made of, as plain values that a model file can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from segkit.config import Config
from segkit.structures import TASKS, TaskName

Option = bool | int | float | str | tuple[int, ...]

DENSE: tuple[TaskName, ...] = ("segment", "instances")
"""Heads that read the map of a decoder."""

OBJECT_DECODERS = ("maskrcnn",)
"""Decoders without a map: what they build is the head of instances, which finds objects one by one."""


class ModelConfig(Config):
    """Everything needed to build the network again without its weights."""

    heads: dict[TaskName, int] = Field(
        description="what the network predicts, each with its number of classes, background included where there is one"
    )
    backbone: str = Field("plain", description="name from 'segkit models'")
    decoder: str | None = Field(None, description="name from 'segkit models'; None: unet, and none without a mask")
    in_channels: int = Field(3, ge=1, le=16)
    backbone_options: dict[str, Option] = Field(default_factory=dict, description="for example width=24")
    decoder_options: dict[str, Option] = Field(default_factory=dict, description="for example upsample=transposed")
    detect_options: dict[str, Option] = Field(default_factory=dict, description="of the head of boxes: channels=64")

    @model_validator(mode="before")
    @classmethod
    def _name_the_head(cls, given: Any) -> Any:
        """Networks saved before there could be several heads have a task and a number of classes."""
        if not isinstance(given, Mapping) or "heads" in given or "num_classes" not in given:
            return given
        kept = {name: value for name, value in given.items() if name not in ("task", "num_classes")}
        return {**kept, "heads": {given.get("task", "segment"): given["num_classes"]}}

    @model_validator(mode="after")
    def _check_heads(self) -> ModelConfig:
        if not self.heads or min(self.heads.values()) < 1:
            raise ValueError("heads: name at least one, and for each its number of classes, 1 or more")
        object.__setattr__(self, "heads", {task: self.heads[task] for task in TASKS if task in self.heads})
        has_decoder = any(task in DENSE for task in self.heads)
        if has_decoder and self.decoder is None:
            object.__setattr__(self, "decoder", "unet")
        if not has_decoder and (self.decoder or self.decoder_options):
            raise ValueError(f"to {' and '.join(self.heads)} there is no decoder; leave out 'decoder' and its options")
        if self.detect_options and "detect" not in self.heads:
            raise ValueError(f"{' and '.join(self.heads)} finds no boxes; leave out 'detect_options'")
        return self

    @property
    def task(self) -> TaskName:
        """What the main head predicts, the first."""
        return next(iter(self.heads))

    @property
    def num_classes(self) -> int:
        """Classes of the main head."""
        return self.heads[self.task]

    @property
    def only_classifies(self) -> bool:
        """Whether labels of whole images are all that is predicted."""
        return set(self.heads) == {"classify"}

    @property
    def finds_objects(self) -> bool:
        """Whether the head of instances gives objects, each with its box and mask, in place of a map."""
        return self.decoder in OBJECT_DECODERS

    @property
    def is_dense(self) -> bool:
        """Whether a head reads the map of a decoder."""
        return not self.finds_objects and any(task in DENSE for task in self.heads)
