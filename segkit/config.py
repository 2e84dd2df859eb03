"""Settings: pydantic models that refuse what they do not know, and name all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from segkit.errors import ConfigError, nearest


class Config(BaseModel):
    """Base of every group of settings: unknown keys are errors, values are frozen once built."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def parse(cls, values: Mapping[str, Any], source: str = "configuration") -> Self:
        """Build from plain values; raises `ConfigError` with every problem and, for a misspelt key, the nearest name."""
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            problems = "; ".join(_explain(problem, cls) for problem in error.errors())
            raise ConfigError(f"{source}: {problems}") from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Build from a YAML file; raises `ConfigError` when it is missing, not YAML, or has problems."""
        return cls.parse(read_yaml(path), source=str(path))

    def to_yaml(self, path: str | Path) -> None:
        """Write all settings, defaults included, in declaration order."""
        Path(path).write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises `ConfigError` when there is none."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ConfigError(f"cannot read the configuration {path}: {reason}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, found {type(values).__name__}")
    return values


def _explain(problem: Any, model: type[BaseModel]) -> str:
    location = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _fields_at(model, problem["loc"][:-1])
        hint = nearest(str(problem["loc"][-1]), known) or f" Allowed: {', '.join(known)}."
        return f"unknown key {location!r}.{hint}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{location}: {message} (given: {problem['input']!r})" if location else message


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The field names of the nested model at `location`, through optional and plain annotations."""
    for part in location:
        field = model.model_fields.get(str(part))
        nested = [t for t in _types_in(field.annotation if field else None) if issubclass(t, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def _types_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in _types_in(argument)]
