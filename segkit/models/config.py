"""What a network is made of, as plain values that a model file can hold."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from segkit.config import Config

Option = bool | int | float | str | tuple[int, ...]


class ModelConfig(Config):
    """Everything needed to build the network again without its weights."""

    task: Literal["segment", "classify"] = "segment"
    backbone: str = Field("plain", description="name from 'segkit models'")
    decoder: str | None = Field(None, description="name from 'segkit models'; None: unet, and none to classify")
    num_classes: int = Field(ge=1, description="classes, background included")
    in_channels: int = Field(3, ge=1, le=16)
    backbone_options: dict[str, Option] = Field(default_factory=dict, description="for example width=24")
    decoder_options: dict[str, Option] = Field(default_factory=dict, description="for example upsample=transposed")

    @model_validator(mode="after")
    def _check_decoder(self) -> ModelConfig:
        if self.task == "segment" and self.decoder is None:
            object.__setattr__(self, "decoder", "unet")
        if self.task == "classify" and (self.decoder or self.decoder_options):
            raise ValueError("classification has no decoder; leave out 'decoder' and its options")
        return self
