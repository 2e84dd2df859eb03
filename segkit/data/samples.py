"""One record from disk: its image, and its mask or label as class indices. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.data.drawing import draw_classes
from segkit.data.image_io import read_channels, read_mask
from segkit.data.objects import boxes_of, instances_of
from segkit.errors import DataError
from segkit.structures import IGNORE_INDEX, ClassMap, Instances, Record, Sample, TaskName


def load_sample(record: Record, classes: ClassMap, task: TaskName = "segment") -> Sample:
    """Read a record's image and, where it has it, the target of one task; see `load_targets`."""
    return load_targets(record, {task: classes})


def load_targets(record: Record, heads: Mapping[TaskName, ClassMap]) -> Sample:
    """Read a record's image and, where it has them, the targets of heads, as indices of each head's classes.

    Raises:
        UnreadableFileError: a file that cannot be read as an image.
        DataError: a mask value or label that is no class, or a target of another size than its image.
    """
    raster = read_channels(record.image_files)
    image = raster.image()
    size = image.shape[0], image.shape[1]
    mask = _mask(record, heads["segment"], size) if "segment" in heads else None
    label = _label_index(record, heads["classify"]) if "classify" in heads and record.label is not None else None
    boxes = boxes_of(record.marked, heads["detect"], size) if "detect" in heads and record.marked else None
    instances = _instances(record, heads["instances"], size) if "instances" in heads else None
    return Sample(record, image, mask, label, boxes, instances, raster.spacing)


def target_of(sample: Sample, task: TaskName) -> object:
    """The sample's target of a head; None where it has none."""
    targets: dict[TaskName, object] = {
        "segment": sample.mask, "instances": sample.instances, "detect": sample.boxes, "classify": sample.label
    }  # fmt: skip
    return targets[task]


def _instances(record: Record, classes: ClassMap, size: tuple[int, int]) -> Instances | None:
    """The objects, those told by another file than the mask with the mask's classes and what it does not count."""
    beside = record.mask is not None and (record.instances is not None or record.annotation is not None)
    return instances_of(record, classes, size, _mask(record, classes, size) if beside else None)


def _mask(record: Record, classes: ClassMap, size: tuple[int, int]) -> NDArray[np.int16] | None:
    """Class indices (H, W), from the mask's files, else drawn from the objects."""
    if record.mask is not None:
        mask = _read_classes(record.mask, classes)
        if mask.shape != size:
            raise DataError(
                f"{record.id}: the image is {size[1]} x {size[0]} pixels and its mask "
                f"{mask.shape[1]} x {mask.shape[0]}; both must have one size, 'segkit check' lists all such pairs"
            )
        return mask
    if record.annotation is None:
        return None
    indices = {name: index for index, name in enumerate(classes.names)}
    return draw_classes(record.annotation, indices, size, _unclaimed(classes), IGNORE_INDEX)


def _unclaimed(classes: ClassMap) -> int:
    """What pixels hold that no class claims: background, or not counted where there is no background."""
    return IGNORE_INDEX if classes.background is None else classes.background


def _label_index(record: Record, classes: ClassMap) -> int:
    if record.label not in classes.names:
        raise DataError(f"{record.id}: label {record.label!r} is no class; classes: {', '.join(classes.names)}")
    return classes.names.index(record.label)


def _read_classes(mask: Path | Mapping[str, Path], classes: ClassMap) -> NDArray[np.int16]:
    """Class indices (H, W) of one mask file, or of one file per class, where everything but 0 means the class.

    Of several classes that claim a pixel the last in the class map has it; one that none claims is background, or not
    counted where there is no background.
    """
    if isinstance(mask, Path):
        try:
            return classes.values_to_indices(read_mask(mask))
        except DataError as error:
            raise DataError(f"{mask}: {error}; 'segkit check' lists all such masks") from None
    claimed = {_class_index(name, path, classes): read_mask(path) != 0 for name, path in mask.items()}
    indices = np.full(next(iter(claimed.values())).shape, _unclaimed(classes), np.int16)
    for index in sorted(claimed):
        indices[claimed[index]] = index
    return indices


def _class_index(name: str, path: Path, classes: ClassMap) -> int:
    if name not in classes.names:
        raise DataError(f"{path}: {name!r} is no class; classes: {', '.join(classes.names)}")
    return classes.names.index(name)
