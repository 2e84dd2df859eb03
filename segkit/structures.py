"""The nouns of segkit: class map, record, sample and results. Plain data over numpy, no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segkit.errors import DataError

IGNORE_INDEX = -1
"""The learned id of pixels that no loss and no score counts."""

PARTS = ("train", "val", "test")
"""The parts a data set is cut into."""

TaskName = Literal["segment", "classify"]
"""What a network predicts: the class of every pixel, or of the whole image."""

Progress = Callable[[int, int], None]
"""Called with the number done and the total."""

Color = tuple[int, int, int]


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


@dataclass(frozen=True)
class Record:
    """One image of a data set as it lies on disk, nothing read yet.

    Attributes:
        id: unique name inside the data set, the image's path without suffix relative to the image folder.
        image: the image file.
        mask: the mask file; a mapping class name -> file where each class has its own; None without mask.
        label: the class name of the image, for classification.
        group: images of one patient, slide or sequence share a group; None: the image is its own unit.
        split: "train", "val" or "test" when the data set says so.
        columns: the cells of its row by column name, in lower case, where a table lists the data set.
    """

    id: str
    image: Path
    mask: Path | Mapping[str, Path] | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def mask_files(self) -> tuple[Path, ...]:
        """Every file of the mask; none without a mask."""
        if self.mask is None:
            return ()
        return (self.mask,) if isinstance(self.mask, Path) else tuple(self.mask.values())

    @property
    def unit(self) -> str:
        """What counts as one independent observation in a score's interval: the group, else the image itself."""
        return self.group if self.group is not None else self.id


@dataclass(frozen=True)
class Sample:
    """One image with the targets it has, in memory.

    Attributes:
        record: where it came from.
        image: (H, W, C), true values in the file's dtype (uint8, uint16 or float32).
        mask: (H, W) class indices, int16, `IGNORE_INDEX` where not counted.
        label: class index of the image.
    """

    record: Record
    image: NDArray[Any]
    mask: NDArray[np.int16] | None = None
    label: int | None = None


@dataclass(frozen=True)
class SegmentationResult:
    """The mask of one image.

    Attributes:
        mask: (H, W) class ids of exactly the input's size, in the class map's `id_dtype`.
        classes: what the ids mean.
        probabilities: (K, H, W) float32, one map per class, only where asked for.
    """

    mask: NDArray[np.uint8 | np.uint16]
    classes: ClassMap
    probabilities: NDArray[np.float32] | None = None

    def areas(self) -> dict[str, int]:
        """Pixels per class name."""
        named = zip(self.classes.names, self.classes.ids, strict=True)
        return {name: int((self.mask == class_id).sum()) for name, class_id in named}

    def shares(self) -> dict[str, float]:
        """Share of the image per class name, 0 to 1."""
        return {name: area / self.mask.size for name, area in self.areas().items()}


@dataclass(frozen=True)
class ClassificationResult:
    """The class probabilities (K,) of one image, summing to 1."""

    probabilities: NDArray[np.float32]
    names: Sequence[str]

    @property
    def label(self) -> str:
        return self.names[int(self.probabilities.argmax())]

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The `count` most probable class names with their probabilities, best first."""
        best = np.argsort(-self.probabilities, kind="stable")[:count]
        return [(self.names[i], float(self.probabilities[i])) for i in best]
