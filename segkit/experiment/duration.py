"""Durations as people write them."""

from __future__ import annotations

import re

from segkit.errors import UsageError

_UNITS = {"h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> float:
    """`"90s"`, `"10m"`, `"1h30m"` to seconds; raises `UsageError` for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"budget {text!r}: expected a time such as 90s, 10m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise UsageError(f"budget {text!r}: the time must be above zero")
    return seconds


def format_duration(seconds: float) -> str:
    """Seconds as `"45 s"`, `"10 min"` or `"1 h 30 min"`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"
