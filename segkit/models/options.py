"""Options of backbones and decoders, declared by the signatures of the functions that build them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from segkit.errors import UsageError, nearest
from segkit.models.config import Option


def default_options(build: Callable[..., Any]) -> dict[str, Any]:
    """Name to default value of every option of `build`: its keyword-only parameters."""
    return {name: parameter.default for name, parameter in _parameters(build).items()}


def check_options(part: str, build: Callable[..., Any], given: Mapping[str, Option]) -> dict[str, Any]:
    """All options of `build` with the values given, converted to the declared types, or their defaults.

    Args:
        part: what the options belong to, for messages, for example `"backbone plain"`.
        build: the function that takes them.
        given: the values the user set.

    Raises:
        UsageError: an unknown name, with the nearest one, or a value of the wrong type or range.
    """
    parameters = _parameters(build)
    checked = default_options(build)
    for name, value in given.items():
        if name not in parameters:
            allowed = f" Allowed: {', '.join(parameters)}." if parameters else " It has no options."
            raise UsageError(f"{part} has no option {name!r}.{nearest(name, parameters) or allowed}")
        try:
            checked[name] = TypeAdapter(parameters[name].annotation).validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise UsageError(f"{part}: option {name}={value!r} is not allowed: {problem}") from None
    return checked


def _parameters(build: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    signature = inspect.signature(build, eval_str=True)
    return {name: p for name, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
