"""Networks written in one line: `[64]*2 P [128]*2 P F512`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from segkit.errors import UsageError

_COUNT = "([1-9][0-9]{0,4})"
_CONVOLUTIONS = re.compile(rf"\[{_COUNT}\](?:\*{_COUNT})?")
_FULLY_CONNECTED = re.compile(rf"F{_COUNT}")


@dataclass(frozen=True)
class Pattern:
    """A plain network.

    Attributes:
        levels: channels of the convolutions in front of the first pool, between two pools, and behind the last; a
            level without convolutions is the pool's own map.
        hidden: units of the fully connected layers in front of the logits.
    """

    levels: tuple[tuple[int, ...], ...]
    hidden: tuple[int, ...] = ()


def parse_pattern(text: str) -> Pattern:
    """Read a network of the form [[CONV -> ACTIVATION]*N -> POOL?]*M -> [FC -> ACTIVATION]*K -> logits.

    Parts are separated by spaces: `[C]` is a convolution to C channels and `[C]*N` are N of them, `P` is a pool that
    halves the map, `FU` is a fully connected layer of U units. The layer that gives the logits is not written.

    Raises:
        UsageError: an unknown part, no convolution at the start, or anything behind a fully connected layer.
    """
    levels: list[list[int]] = [[]]
    hidden: list[int] = []
    for part in text.split():
        if hidden and not part.startswith("F"):
            raise _refusal(text, f"{part!r} stands behind a fully connected layer")
        if convolutions := _CONVOLUTIONS.fullmatch(part):
            levels[-1] += [int(convolutions[1])] * int(convolutions[2] or 1)
        elif units := _FULLY_CONNECTED.fullmatch(part):
            hidden.append(int(units[1]))
        elif part == "P":
            levels.append([])
        else:
            raise _refusal(text, f"{part!r} is no part of a pattern")
    if not levels[0]:
        raise _refusal(text, "it does not start with a convolution")
    return Pattern(tuple(map(tuple, levels)), tuple(hidden))


def _refusal(text: str, problem: str) -> UsageError:
    return UsageError(
        f"pattern {text!r}: {problem}; allowed, separated by spaces: [C] or [C]*N for N convolutions to C channels, "
        "P for a pool, then FU for fully connected layers of U units; for example '[64]*2 P [128]*2 P F512'"
    )
