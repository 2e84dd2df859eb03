"""How a data set is read: format, classes, channels, splits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, ValidationInfo, field_validator

from segkit.config import Config


class DataConfig(Config):
    """Everything about a data set that its files do not say, or say differently."""

    format: str | None = Field(None, description="data format; None: recognised")
    classes: Path | tuple[str, ...] | None = Field(
        None, description="class file, or the names in the order of their ids"
    )
    map: dict[NonNegativeInt | Literal["other"], NonNegativeInt] = Field(
        default_factory=dict,
        description="stored mask value -> class id, for example 128=1; other=1: every value but 0 not named",
    )
    ignore: tuple[NonNegativeInt, ...] = Field(
        (), description="stored mask values that are not counted; 255 where not a class"
    )
    background: NonNegativeInt | Literal["none"] | None = Field(
        None, description="class id of the background; None: from the class file, else 0"
    )
    channels: Literal["gray", "rgb"] | None = Field(None, description="convert every image; None: as stored")
    axis: Literal[0, 1, 2] | None = Field(
        None,
        description="along which volumes are read slice by slice; None: that of the largest spacing, else the last",
    )
    channel_names: tuple[str, ...] | None = Field(
        None, description="what the channels show, in their order, for example red, nir; None: as the data says"
    )
    split: Path | tuple[float, float, float] | None = Field(
        None,
        description="split file (id,split), or shares of train, val, test; None: the data set's own, else 70/15/15",
    )
    group_by: str | None = Field(
        None, description="a table's column, else a regular expression on the id (its first group): what stays together"
    )
    stratify: str | None = Field(
        None, description="a table's column whose values every part gets its share of; None: the classes present"
    )
    allow: tuple[str, ...] = Field((), description="codes of check errors that are lowered to warnings")
    seed: int = Field(0, ge=0, description="seed of the split")

    @field_validator("ignore")
    @classmethod
    def _not_mapped(cls, given: tuple[int, ...], others: ValidationInfo) -> tuple[int, ...]:
        both = sorted(set(given) & set(others.data.get("map", ())))
        if both:
            raise ValueError(f"the mask value {both[0]} is to be ignored and mapped to a class; decide for one")
        return given

    @field_validator("split", mode="before")
    @classmethod
    def _shares(cls, given: Any) -> Any:
        """Text such as `"70/15/15"` is shares, other text a path."""
        is_shares = isinstance(given, str) and re.fullmatch(r"[\d.]+/[\d.]+/[\d.]+", given)
        return tuple(map(float, given.split("/"))) if is_shares else given
