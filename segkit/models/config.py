"""What a network is made of, as plain values that a model file can hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from segkit.config import Config

Option = bool | int | float | str | tuple[int, ...]


class ModelConfig(Config):
    """Everything needed to build the network again without its weights."""

    task: Literal["segment", "classify"] = "segment"
    backbone: str = Field("plain", description="name from 'segkit models'")
    decoder: str | None = Field("unet", description="name from 'segkit models'; None for classification")
    num_classes: int = Field(ge=1, description="classes, background included")
    in_channels: int = Field(3, ge=1, le=16)
    backbone_options: dict[str, Option] = Field(default_factory=dict, description="options of the backbone, for example width=24")
    decoder_options: dict[str, Option] = Field(default_factory=dict, description="options of the decoder, for example upsample=transposed")
