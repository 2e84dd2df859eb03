"""Settings: pydantic models that refuse what they do not know, and name all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from segkit.errors import ConfigError, nearest


class Config(BaseModel):
    """Base of every group of settings: unknown keys are errors, values are frozen once built."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def parse(
        cls, values: Mapping[str, Any], source: str = "configuration", names: Mapping[str, str] | None = None
    ) -> Self:
        """Build from plain values.

        Args:
            values: the settings, group by group.
            source: where they come from, for messages.
            names: dotted key -> what the user knows it by, for example `{"training.batch_size": "--batch-size"}`.

        Raises:
            ConfigError: every problem, misspelt keys with the nearest name.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            problems = _explain(error.errors(), cls, values, names or {})
            raise ConfigError(f"{source}: {'; '.join(problems)}") from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Build from a YAML file; raises `ConfigError` when it is missing, not YAML, or has problems."""
        return cls.parse(read_yaml(path), source=str(path))

    def to_yaml(self, path: str | Path) -> None:
        """Write all settings, defaults included, in declaration order."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        Path(path).write_text(text, encoding="utf-8")


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


# What pydantic calls by the names of Python's types, by the first word of the problem's type.
_WORDS = {
    "bool": "should be true or false",
    "dict": "should be names with values",
    "finite": "should be a finite number",
    "float": "should be a number",
    "int": "should be a whole number",
    "model": "should be names with values",
    "path": "should be a path",
    "string": "should be text",
    "tuple": "should be a list",
}


def _explain(
    problems: Iterable[Any], model: type[BaseModel], values: Mapping[str, Any], names: Mapping[str, str]
) -> Iterable[str]:
    """One sentence per key, in pydantic's order, which keeps all problems of one key together."""
    by_key = groupby(problems, key=lambda problem: _locate(problem["loc"], values)[0])
    # A setting of two keys, such as the seed, has the same problem twice.
    return dict.fromkeys(_sentence(key, list(group), model, values, names) for key, group in by_key)


def _sentence(
    key: str, problems: list[Any], model: type[BaseModel], values: Mapping[str, Any], names: Mapping[str, str]
) -> str:
    location = problems[0]["loc"]
    if problems[0]["type"] == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        hint = nearest(str(location[-1]), known) or f" Allowed: {', '.join(known)}."
        return f"unknown key {key!r}.{hint}"
    # A key of several types has one problem per type.
    reason = " or ".join(dict.fromkeys(map(_reason, problems))).replace(" or should be ", " or ")
    given = "" if problems[0]["type"] == "missing" else f" (given: {_locate(location, values)[1]!r})"
    return f"{_name(key, names)}: {reason}{given}" if key else reason


def _reason(problem: Any) -> str:
    if problem["type"] == "missing":
        return "should be a longer list" if isinstance(problem["loc"][-1], int) else "is missing"
    kind = str(problem["type"]).partition("_")[0]
    return _WORDS.get(kind) or str(problem["msg"]).removeprefix("Value error, ").removeprefix("Input ")


def _name(key: str, names: Mapping[str, str]) -> str:
    """What the user knows the key by, or the group of values it is in; else the key itself."""
    parts = key.split(".")
    above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((names[name] for name in above if name in names), key)


def _locate(location: tuple[int | str, ...], values: Any) -> tuple[str, Any]:
    """The dotted key in `values` and its value; pydantic's location goes on with the types it tried."""
    key: list[str] = []
    for part in location:
        if isinstance(values, Mapping):
            values = values.get(part)
        elif isinstance(values, list | tuple) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            break
        key.append(str(part))
    return ".".join(key), values


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
