"""Telling masks that number objects from masks that name classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from segkit.data.facts import MaskFacts
from segkit.data.findings import Finding
from segkit.data.rules import finding

MANY_OBJECTS = 10
"""Highest number in an 8-bit mask from which counting up looks like objects; in 16 bits half of it does."""

MANY_VALUES = 64
"""Different values in a set from which rare ones look like objects."""


def number_objects(masks: Mapping[str, MaskFacts]) -> bool:
    """Whether masks hold object numbers: 1 to n, n differing between images, or many numbers that few images share."""
    numbered = [numbers for mask in masks.values() if (numbers := [value for value in mask.values if value > 0])]
    return _count_up(numbered, any(mask.dtype != "uint8" for mask in masks.values())) or _rarely_shared(numbered)


def check_numbers(masks: Mapping[str, MaskFacts]) -> Iterator[Finding]:
    """The finding that no mask holds two numbers, as masks of one class do, or none."""
    shown = [len(mask.values.keys() - {0}) for mask in masks.values()]
    if max(shown, default=0) == 1:
        yield finding(
            "objects-not-told-apart",
            "every mask holds one value besides 0, so that objects which touch are one; number them from 1, or learn "
            "the masks with --task segment",
            records=list(masks),
        )


def _count_up(numbered: Sequence[Sequence[int]], deep: bool) -> bool:
    counts = [len(numbers) for numbers in numbered if max(numbers) == len(numbers)]
    highest = max(counts, default=0)
    return (
        highest >= (MANY_OBJECTS // 2 if deep else MANY_OBJECTS)
        and len(set(counts)) > 1
        and len(counts) >= 0.8 * len(numbered)
        and Counter(counts)[highest] <= 0.5 * len(numbered)  # many images that show all classes count up too
    )


def _rarely_shared(numbered: Sequence[Sequence[int]]) -> bool:
    users = Counter(value for numbers in numbered for value in numbers)
    # Masks of 0 and 255 that were smoothed have many rare values too, but share their 255.
    smoothed = users[255] > 0.5 * len(numbered)
    return len(users) >= MANY_VALUES and not smoothed and users.total() / len(users) <= max(1.5, 0.2 * len(numbered))
