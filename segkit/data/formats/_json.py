"""JSON that annotation tools write, read so that a wrong file is one clear error with its name."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from segkit.errors import UnreadableFileError

MAX_BYTES = 2**30
"""Largest file that is read; the instances of COCO's training part take 450 MB."""

_LARGEST = 1e38
"""What float32 holds."""

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,30}")
"""Texts that are whole numbers in their one form: 007 is a name."""


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        UnreadableFileError: missing, above `MAX_BYTES`, no UTF-8 text, or no JSON.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableFileError(path, f"more than {MAX_BYTES:,} bytes; cut it into several files")
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UnreadableFileError(path, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise UnreadableFileError(path, "it is no UTF-8 text, so it is no JSON") from None
    except json.JSONDecodeError as error:
        reason = f"it is no JSON (line {error.lineno}: {error.msg}), or cut short; export it again"
        raise UnreadableFileError(path, reason) from None
    except (RecursionError, ValueError):  # brackets a thousand deep, numbers of thousands of digits
        raise UnreadableFileError(path, "it is no JSON of an annotation tool") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The content of a JSON file that is one object `{...}`; raises `UnreadableFileError` as `read_json` does."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise UnreadableFileError(path, f"it holds {kind_of(content)}, and a JSON object {{...}} is expected")
    return content


def objects_in(path: Path, content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under a key; raises `UnreadableFileError` where it is missing or something else."""
    if key not in content:
        raise UnreadableFileError(path, f"it lacks {key!r}, a list of objects")
    value = content[key]
    if not isinstance(value, list):
        raise UnreadableFileError(path, f"{key!r} is {kind_of(value)}, and a list of objects is expected")
    for position, entry in enumerate(value):
        if not isinstance(entry, dict):
            reason = f"entry {position} of {key!r} is {kind_of(entry)}, and an object {{...}} is expected"
            raise UnreadableFileError(path, reason)
    return value


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number that float32 holds: `true`, `NaN` and 1e99 are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def as_numbers(values: Sequence[object]) -> NDArray[np.float64] | None:
    """The values in an array where each is what `is_number` says, else None; fast enough for millions of corners."""
    if not set(map(type, values)) <= {int, float}:
        return None
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return numbers if (np.abs(numbers) < _LARGEST).all() else None


def is_whole(value: object) -> TypeGuard[float]:
    """Whether a value is a whole number, written as 3 or 3.0."""
    return is_number(value) and math.floor(value) == value


def as_whole(value: object) -> int | None:
    """The whole number that a value is, written as 3, 3.0 or "3"; None where it is none."""
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else None
    return int(value) if is_whole(value) or (isinstance(value, int) and not isinstance(value, bool)) else None


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
