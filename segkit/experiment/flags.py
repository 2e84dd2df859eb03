"""What settings are called on the command line, for messages about their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Flags that are not the setting's own name, and settings whose value is a mapping.
_FLAGS = {
    "path": "DATA",
    "map": "--map",
    "backbone_options": "--backbone-option",
    "decoder_options": "--decoder-option",
    "detect_options": "--detect-option",
    "head_weights": "--head-weight",
    "budget_seconds": "--budget",
}


def flags_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Dotted key to flag of each setting given, as `{"training.batch_size": "--batch-size"}`.

    Settings that are None or empty were not given; groups of settings are mappings in `given`.
    """
    flags: dict[str, str] = {}
    for key, value in given.items():
        if isinstance(value, Mapping) and key not in _FLAGS:
            flags |= {f"{key}.{below}": flag for below, flag in flags_of(value).items()}
        elif value is not None and value != {}:
            flags[key] = _FLAGS.get(key, f"--{key.replace('_', '-')}")
    return flags
