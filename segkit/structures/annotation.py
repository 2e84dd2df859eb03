"""Objects that people marked in an image: boxes, outlines and regions with a label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, where pixel (row, column) covers column..column + 1 and row..row + 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Polygons:
    """A region as the union of what its rings enclose.

    Attributes:
        rings: (n, 2) float32 each, x and y of the corners; where `Box` has its origin, the image's upper left corner.
    """

    rings: tuple[NDArray[np.float32], ...]

    @property
    def box(self) -> Box:
        """The smallest box around all rings."""
        corners = np.concatenate(self.rings)
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return left, top, right, bottom

    def scaled(self, width: float, height: float) -> Polygons:
        """The same outlines, x times `width` and y times `height`."""
        return Polygons(tuple(ring * np.array([width, height], np.float32) for ring in self.rings))


@dataclass(frozen=True, slots=True)
class RunLengths:
    """A region as runs of pixels, in pycocotools' compressed form.

    Attributes:
        size: (H, W) of the image.
        counts: the compressed runs, as in the `counts` of COCO's `segmentation`.
    """

    size: tuple[int, int]
    counts: bytes


@dataclass(frozen=True, slots=True)
class MaskFile:
    """A region as pixels of a mask file: those that hold `value`, or everything but 0 where it is None.

    In an RGB file the value is the packed colour `r << 16 | g << 8 | b`.
    """

    path: Path
    value: int | None = None


Region = Polygons | RunLengths | MaskFile


@dataclass(frozen=True, slots=True)
class ObjectAnnotation:
    """One object.

    Attributes:
        label: name of its class.
        box: around it; None where only a mask file tells, see `MaskFile`.
        region: its pixels; None where only its box is known.
        ignored: it is neither learnt nor scored: a crowd (COCO), a difficult one (VOC).
        area: in square pixels where the file states it (COCO); by it scores tell small objects from large ones.
    """

    label: str
    box: Box | None = None
    region: Region | None = None
    ignored: bool = False
    area: float | None = None


@dataclass(frozen=True, slots=True)
class Annotation:
    """The objects of one image.

    Attributes:
        objects: in the order in which they are painted: of several on one pixel the last one has it.
        source: the file they stand in.
        size: (H, W) of the image as that file states it, None where it does not.
        relative: boxes and polygons are in shares of the image's width and height.
    """

    objects: tuple[ObjectAnnotation, ...]
    source: Path
    size: tuple[int, int] | None = None
    relative: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes that occur and count, sorted."""
        return tuple(sorted({one.label for one in self.objects if not one.ignored}))

    def in_pixels(self, size: tuple[int, int]) -> Annotation:
        """The same objects in pixels of an image of `size` (H, W)."""
        if not self.relative:
            return self
        height, width = size
        return replace(
            self, objects=tuple(_scaled(one, width, height) for one in self.objects), size=size, relative=False
        )


def _scaled(one: ObjectAnnotation, width: int, height: int) -> ObjectAnnotation:
    box = one.box and (one.box[0] * width, one.box[1] * height, one.box[2] * width, one.box[3] * height)
    region = one.region.scaled(width, height) if isinstance(one.region, Polygons) else one.region
    return replace(one, box=box, region=region)
