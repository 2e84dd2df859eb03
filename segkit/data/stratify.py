"""Cut units into parts so that each part has its share of the images of every class.

Iterative stratification (K. Sechidis, G. Tsoumakas, I. Vlahavas, On the stratification of multi-label data, ECML PKDD
2011, section 3) with two changes: units of several images are dealt out, large ones first; and where the paper draws at
random, units of one class are laid out along a hash of seed and name and cut in blocks, so that an image added to the
set moves the borders of the blocks and hardly any other image.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

Presence = Sequence[frozenset[int]]
"""The classes present in each image of a unit."""


def stratify(units: Mapping[str, Presence], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """The part of every unit; no part stays empty.

    Args:
        units: unit -> classes present in each of its images; at least as many units as parts.
        shares: part -> its share of the images, above 0; only their ratios matter.
        seed: another seed gives another cut.
    """
    order = sorted(units, key=lambda unit: (-len(units[unit]), _hash(seed, unit)))
    counts = {unit: Counter(class_ for image in images for class_ in image) for unit, images in units.items()}
    wanted = _Wanted(units, counts, shares)
    parts: dict[str, str] = {}
    for class_ in (*_rarest_first(counts), None):
        stratum = [unit for unit in order if unit not in parts and (class_ is None or class_ in counts[unit])]
        parts |= wanted.deal(stratum, class_)
    for part in shares:
        if part not in parts.values():
            parts[_spare(parts, counts, order)] = part
    return parts


class _Wanted:
    """Images each part still wants, in all and of each class."""

    def __init__(
        self, units: Mapping[str, Presence], counts: Mapping[str, Counter[int]], shares: Mapping[str, float]
    ) -> None:
        self._sizes = {unit: len(images) for unit, images in units.items()}
        self._counts = counts
        total = sum(shares.values())
        of_class = sum(counts.values(), Counter[int]())
        self._images = {part: share / total * sum(self._sizes.values()) for part, share in shares.items()}
        self._of_class = {part: {c: share / total * n for c, n in of_class.items()} for part, share in shares.items()}

    def deal(self, stratum: Sequence[str], class_: int | None) -> dict[str, str]:
        """The part of every unit of a stratum (large units first, then by hash), all of which show `class_`."""
        images = dict(self._images)
        of_class = (
            dict.fromkeys(images, 0.0) if class_ is None else {part: self._of_class[part][class_] for part in images}
        )
        parts: dict[str, str] = {}
        for size, same in groupby(stratum, key=self._sizes.__getitem__):
            block = list(same)
            dealt = []
            for unit in block:
                best = max(images, key=lambda part: (of_class[part], images[part]))
                images[best] -= size
                of_class[best] -= 0 if class_ is None else self._counts[unit][class_]
                dealt.append(best)
            parts |= zip(block, sorted(dealt, key=list(images).index), strict=True)
        for unit, part in parts.items():
            self._images[part] -= self._sizes[unit]
            for present, number in self._counts[unit].items():
                self._of_class[part][present] -= number
        return parts


def _rarest_first(counts: Mapping[str, Counter[int]]) -> list[int]:
    """Classes by the number of units that hold them."""
    holders = Counter(class_ for present in counts.values() for class_ in present)
    return sorted(holders, key=lambda class_: (holders[class_], class_))


def _spare(parts: Mapping[str, str], counts: Mapping[str, Counter[int]], order: Iterable[str]) -> str:
    """The unit an empty part may have: from the part with most units, the one whose classes are best covered there."""
    members: defaultdict[str, list[str]] = defaultdict(list)
    for unit in order:
        members[parts[unit]].append(unit)
    donor = max(members.values(), key=len)
    holders = Counter(class_ for unit in donor for class_ in counts[unit])
    return min(reversed(donor), key=lambda unit: sum(holders[class_] == 1 for class_ in counts[unit]))


def _hash(seed: int, unit: str) -> bytes:
    return hashlib.sha256(f"{seed}:{unit}".encode()).digest()
