"""The values found in a data set's masks, and the colours among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping

from segkit.data.facts import MaskFacts
from segkit.structures import Color

_GRAY = 0x010101


def pack(color: Color) -> int:
    """A colour as the one number that stands for it in RGB masks."""
    return color[0] << 16 | color[1] << 8 | color[2]


def gray_to_color(value: int) -> int:
    """The packed colour of a gray value 0 to 255."""
    return value * _GRAY


def are_colors(masks: Mapping[str, MaskFacts], colors: Collection[Color]) -> bool:
    """Whether the masks tell classes apart by colour.

    RGB files may hold nothing but gray. That is judged over the whole set: one gray mask among coloured ones shows a
    gray class. Gray values count as colours where all of them are colours of declared classes.
    """
    found = {value for facts in masks.values() if facts.kind == "rgb" for value in facts.values}
    return any(map(_is_colorful, found)) or (bool(found) and found <= set(map(pack, colors)))


def colored_among_ids(masks: Mapping[str, MaskFacts]) -> list[str]:
    """The records whose masks are in colour where more masks hold ids: an editor saved a few anew, for example."""
    colored = [id_ for id_, facts in masks.items() if facts.kind == "rgb" and any(map(_is_colorful, facts.values))]
    plain = sum(facts.kind in {"ids", "palette"} and any(facts.values) for facts in masks.values())
    return colored if len(colored) < plain else []


def _is_colorful(value: int) -> bool:
    return bool(value % _GRAY)


def holders_by_value(masks: Mapping[str, MaskFacts]) -> dict[int, list[str]]:
    """Stored value -> the ids of the records whose masks hold it."""
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for id_, facts in masks.items():
        for value in facts.values:
            holders[value].append(id_)
    return dict(holders)


def holders_by_gray_value(masks: Mapping[str, MaskFacts]) -> dict[int, list[str]]:
    """Likewise, gray stored as colour under its gray value."""
    holders: defaultdict[int, list[str]] = defaultdict(list)
    for id_, facts in masks.items():
        for value in gray_values(facts):
            holders[value].append(id_)
    return dict(holders)


def gray_values(facts: MaskFacts) -> list[int]:
    """The values that a mask holds, gray stored as colour as its gray value."""
    return [value // _GRAY for value in facts.values] if facts.kind == "rgb" else list(facts.values)
