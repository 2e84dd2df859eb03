"""What the numbers in masks mean: names, colours, ids and stored values of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DataError

IGNORE_INDEX = -1
"""The learned id of pixels that no loss and no score counts."""

Color = tuple[int, int, int]

_BLOCK = 2**22
"""Values that are looked up at once: each takes some thirty bytes."""


@dataclass(frozen=True)
class ClassMap:
    """Names, colours and ids of the classes, and how the values stored in mask files become them.

    A class has three faces: its *index* 0..K-1 (its channel in the logits), its *id* (the value in predicted masks,
    equal to the index unless a class file says otherwise) and the *values* that stand for it in mask files.
    A value of an RGB mask is the packed colour `r << 16 | g << 8 | b`.

    Attributes:
        names: one name per class, unique.
        colors: one RGB colour per class.
        ids: the id of each class, unique, 0 to 65535; 0..K-1 when empty.
        values: stored value to class index, `IGNORE_INDEX` where not counted; identity over `ids` when empty.
        background: index of the background class, None when every class is foreground.
        other: index for values that `values` does not name, such as the numbers of objects; None: they are errors.
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()
    ids: tuple[int, ...] = ()
    values: Mapping[int, int] = field(default_factory=dict)
    background: int | None = 0
    other: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "colors", tuple(self.colors) or palette(len(self.names)))
        object.__setattr__(self, "ids", tuple(self.ids) or tuple(range(len(self.names))))
        object.__setattr__(self, "values", dict(self.values) or {v: i for i, v in enumerate(self.ids)})
        if not len(self.names) == len(self.colors) == len(self.ids):
            raise ValueError("names, colors and ids of a class map have one entry per class")
        if len(set(self.names)) < len(self.names) or len(set(self.ids)) < len(self.ids):
            raise ValueError("names and ids of a class map are unique")
        if not (self.ids and min(self.ids) >= 0 and max(self.ids) < 2**16):
            raise ValueError("a class map has at least one class, and ids from 0 to 65535")
        if self.background is not None and self.background not in range(self.num_classes):
            raise ValueError(f"background {self.background} is no class index 0..{self.num_classes - 1}")

    @property
    def num_classes(self) -> int:
        return len(self.names)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Indices of every class but the background."""
        return tuple(i for i in range(self.num_classes) if i != self.background)

    @property
    def id_dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The smallest unsigned type that holds every id."""
        return np.uint8 if max(self.ids) < 256 else np.uint16

    def values_to_indices(self, raw: NDArray[Any]) -> NDArray[np.int16]:
        """Stored mask values (H, W) to class indices (H, W), int16; raises `DataError` listing unknown values."""
        if raw.size <= _BLOCK:
            return self._indices_of(raw)
        found, rows = np.empty(raw.shape, np.int16), max(1, _BLOCK * len(raw) // raw.size)
        for start in range(0, len(raw), rows):
            found[start : start + rows] = self._indices_of(raw[start : start + rows])
        return found

    def _indices_of(self, raw: NDArray[Any]) -> NDArray[np.int16]:
        known, indices = self._sorted_values
        position = np.searchsorted(known, raw).clip(max=len(known) - 1)
        wrong = known[position] != raw
        if self.other is not None:
            return np.where(wrong, np.int16(self.other), indices[position])
        if wrong.any():
            unknown = ", ".join(str(value) for value in np.unique(raw[wrong])[:10])
            raise DataError(f"mask value {unknown} is no class; known values: {', '.join(map(str, known[:20]))}")
        return indices[position]

    def indices_to_ids(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint8 | np.uint16]:
        """Class indices (H, W), 0..K-1, to ids (H, W) in `id_dtype`."""
        return np.asarray(self.ids, dtype=self.id_dtype)[indices]

    def ids_to_indices(self, ids: NDArray[np.integer[Any]]) -> NDArray[np.int16]:
        """Ids (H, W) to class indices (H, W), the way back; `IGNORE_INDEX` where no class has the id."""
        beyond = max(self.ids) + 1
        table = np.full(beyond + 1, IGNORE_INDEX, np.int16)
        table[list(self.ids)] = np.arange(self.num_classes)
        return table[ids.astype(np.int64).clip(-1, beyond)]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values; `from_dict` reads them back."""
        return {
            "names": list(self.names),
            "colors": [list(color) for color in self.colors],
            "ids": list(self.ids),
            "values": {str(value): index for value, index in self.values.items()},
            "background": self.background,
            "other": self.other,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> ClassMap:
        return cls(
            names=tuple(plain["names"]),
            colors=tuple((int(r), int(g), int(b)) for r, g, b in plain["colors"]),
            ids=tuple(plain["ids"]),
            values={int(value): index for value, index in plain["values"].items()},
            background=plain["background"],
            other=plain["other"],
        )

    @cached_property
    def _sorted_values(self) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        pairs = sorted(self.values.items())
        return np.array([v for v, _ in pairs], np.int64), np.array([i for _, i in pairs], np.int16)


def palette(count: int) -> tuple[Color, ...]:
    """Distinct colours for `count` classes: black, then Pascal VOC's bit-interleaved colour map."""
    return tuple(_voc_color(index) for index in range(count))


def _voc_color(index: int) -> Color:
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]
