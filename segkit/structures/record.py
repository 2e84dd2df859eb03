"""One image of a data set: as it lies on disk, and in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segkit.structures.annotation import Annotation
from segkit.structures.objects import Boxes, Instances

PARTS = ("train", "val", "test")
"""The parts a data set is cut into."""

TaskName = Literal["segment", "instances", "detect", "classify"]
"""What a head of a network predicts: the class of every pixel, the pixels of every object, the boxes of objects, or the
class of the whole image."""

TASKS: tuple[TaskName, ...] = get_args(TaskName)
"""In the order in which a network of several heads has them: the first is its main one."""

MASKED: tuple[TaskName, ...] = ("segment", "instances")
"""Tasks whose targets are pixels."""

Progress = Callable[[int, int], None]
"""Called with the number done and the total."""


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
        annotation: the objects marked in it; the mask is drawn from them where there is no mask file.
        channel_files: further files of the same size, whose channels follow the image's.
        instances: the file whose values number the objects, where it is not the mask itself.
        boxes: the objects to detect where `annotation` tells those of a mask.
    """

    id: str
    image: Path
    mask: Path | Mapping[str, Path] | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    annotation: Annotation | None = None
    channel_files: tuple[Path, ...] = ()
    instances: Path | None = None
    boxes: Annotation | None = None

    @property
    def image_files(self) -> tuple[Path, ...]:
        """Every file of the image, in the order of its channels."""
        return (self.image, *self.channel_files)

    @property
    def mask_files(self) -> tuple[Path, ...]:
        """Every file of the mask, or the one its objects stand in; none without either."""
        if self.mask is None:
            return () if self.annotation is None else (self.annotation.source,)
        return (self.mask,) if isinstance(self.mask, Path) else tuple(self.mask.values())

    def labels(self, task: TaskName) -> tuple[str, ...]:
        """The labels that tell what it shows: its own to classify, those of its objects to detect, none to segment."""
        if task == "classify":
            return () if self.label is None else (self.label,)
        return self.marked.labels if task == "detect" and self.marked is not None else ()

    @property
    def marked(self) -> Annotation | None:
        """The objects to detect."""
        return self.annotation if self.boxes is None else self.boxes

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
        boxes: the boxes of its objects.
        instances: the pixels of its objects.
        spacing: distance between the centres of neighbouring rows and columns in mm, where the file states it.
    """

    record: Record
    image: NDArray[Any]
    mask: NDArray[np.int16] | None = None
    label: int | None = None
    boxes: Boxes | None = None
    instances: Instances | None = None
    spacing: tuple[float, float] | None = None
