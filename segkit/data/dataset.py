"""The data set that training draws from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from segkit.data.augment import Augmenter, Mask
from segkit.data.border_weights import Weights, border_weights
from segkit.data.crop import Size, Window, choose_window, cut_image, cut_mask, resize_mask, scaled_size
from segkit.data.facts import ImageFacts
from segkit.data.image_io import read_mask
from segkit.data.loader import Draw
from segkit.data.samples import load_targets
from segkit.data.targets import NO_BOXES, View, box_targets, cell_targets, object_targets
from segkit.errors import DataError
from segkit.ops.boxes import boxes_of_ids
from segkit.ops.resizing import resize
from segkit.pipeline import Pipeline, Scale
from segkit.structures import IGNORE_INDEX, Boxes, ClassMap, Progress, Record, Sample, TaskName

InstanceTargets = Literal["cells", "objects"]

MASK_BYTES = np.dtype(np.int16).itemsize
ID_BYTES = np.dtype(np.int32).itemsize
WEIGHT_BYTES = np.dtype(np.float32).itemsize


def decoded_bytes(images: Iterable[ImageFacts], heads: Collection[TaskName], weights: bool = False) -> int:
    """Memory that the decoded images take, with masks and ids of objects where heads learn them, and border weights."""
    targets = ("segment" in heads) * MASK_BYTES + ("instances" in heads) * ID_BYTES + weights * WEIGHT_BYTES
    return sum(
        image.size[0] * image.size[1] * (image.channels * np.dtype(image.dtype).itemsize + targets) for image in images
    )


class _Loaded(NamedTuple):
    """A record in memory: its sample, the scale of the whole image, its border weights, the boxes of its objects."""

    sample: Sample
    scale: Scale
    weights: Weights | None
    objects: Boxes | None


class TrainingSet(Dataset[dict[str, Tensor]]):
    """Crops, or for classification alone whole images, cropped where the pipeline says so; augmented and normalized.

    Each is a function of its draw alone.

    Items are `"image"` (C, H, W) float32 and the targets of the heads: `"mask"` (H, W) int64, with border weights
    `"border_weight"` (H, W) float32; `"cells"` (H, W) int64, see `draw_cells`, or `"instances"` with boxes, see
    `object_targets`; `"boxes"` (M, 4) float32 in pixels of the crop and `"box_label"` (M,) int64; `"label"` () int64.
    Of a target that a record has not, nothing counts: it is `IGNORE_INDEX` everywhere. Where the pipeline has a margin,
    the image is that much higher and wider on each side: it shows what surrounds the crop, mirrored beyond the border
    of the whole image.

    Args:
        records: the training records, each with a target of some head.
        heads: what is learnt, each with its classes.
        pipeline: turns stored values into the network's input.
        augmenter: random changes, one seed per draw.
        crop: height and width of the crops in pixels; for classification alone the pipeline's `size` is taken instead,
            and where it has a `center_crop` a window of that size drawn at random.
        seed: seed of every draw, together with the draw's epoch and position.
        foreground_share: share of the crops that are placed around a foreground class, or an object.
        border_weight: the largest of the `border_weights`; 0: none.
        numbered_objects: whether the mask files number the objects, which then are the cells of the border weights.
        instance_targets: what the head of instances learns: classes of pixels, or each object with its box.
    """

    def __init__(
        self,
        records: Sequence[Record],
        heads: Mapping[TaskName, ClassMap],
        pipeline: Pipeline,
        augmenter: Augmenter,
        crop: Size,
        seed: int = 0,
        foreground_share: float = 0.5,
        border_weight: float = 0.0,
        numbered_objects: bool = False,
        instance_targets: InstanceTargets = "cells",
    ) -> None:
        self.whole_images = set(heads) == {"classify"}
        if self.whole_images and pipeline.size is None:
            raise ValueError("classification needs a pipeline with a size, every image is resized to it")
        if instance_targets == "objects" and "detect" in heads:
            raise ValueError("objects have boxes of their own; they are not learnt beside a head of boxes")
        self.records = tuple(records)
        self.heads = dict(heads)
        self.pipeline = pipeline
        self.augmenter = augmenter
        self.crop = crop
        self.seed = seed
        self.foreground_share = foreground_share
        self.border_weight = border_weight
        self.numbered_objects = numbered_objects
        self.instance_targets = instance_targets
        self._kept: tuple[_Loaded, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        generator = np.random.default_rng((self.seed, draw.epoch, draw.position))
        loaded = self._kept[draw.index] if self._kept else self._load(self.records[draw.index])
        self._require_target(loaded.sample)
        return self._whole(loaded.sample, generator) if self.whole_images else self._crop(loaded, generator)

    def keep_in_memory(self, progress: Progress | None = None) -> None:
        """Decode every record now and keep it; `progress` is called with (done, total) after each.

        It takes the bytes `decoded_bytes` tells; workers that are forked share them, spawned ones get a copy each.
        """
        kept = []
        for record in self.records:
            kept.append(self._load(record))
            if progress is not None:
                progress(len(kept), len(self.records))
        self._kept = tuple(kept)

    def _load(self, record: Record) -> _Loaded:
        """A record's sample with what every crop of it needs."""
        sample = load_targets(record, self.heads)
        weights, objects = None, None
        if self.border_weight and sample.mask is not None:
            cells = read_mask(record.mask) if self.numbered_objects and isinstance(record.mask, Path) else None
            weights = border_weights(sample.mask, self.heads["segment"], self.border_weight, cells)
        if sample.instances is not None:
            ids, labels = sample.instances.ids, sample.instances.labels
            objects = Boxes(boxes_of_ids(ids, len(labels)), labels)
        return _Loaded(sample, self.pipeline.scale_of(sample.image), weights, objects)

    def _require_target(self, sample: Sample) -> None:
        if all(target is None for target in (sample.mask, sample.instances, sample.boxes, sample.label)):
            raise DataError(f"{sample.record.id} has no target to {' or '.join(self.heads)}, which training needs")

    def _whole(self, sample: Sample, generator: np.random.Generator) -> dict[str, Tensor]:
        unit = self.pipeline.to_unit(sample.image)
        if self.pipeline.center_crop is not None:
            unit = cut_image(unit, choose_window(unit.shape[:2], self.pipeline.center_crop, generator))
        unit, _ = self.augmenter(unit, None, _seed(generator))
        return {"image": self._tensor(unit), "label": _label(sample)}

    def _crop(self, loaded: _Loaded, generator: np.random.Generator) -> dict[str, Tensor]:
        sample, margin = loaded.sample, self.pipeline.margin
        window = self._window(loaded, generator)
        size = self.crop[0] + 2 * margin, self.crop[1] + 2 * margin
        unit = resize(self.pipeline.to_unit(cut_image(sample.image, window), loaded.scale), size)
        maps = self._maps(loaded, window, size)
        unit, changed, moves = self.augmenter.change(unit, _stacked(list(maps.values())), _seed(generator))
        if changed is not None:
            seen = changed[margin : size[0] - margin, margin : size[1] - margin]
            maps = dict(zip(maps, [seen] if len(maps) == 1 else np.moveaxis(seen, 2, 0), strict=True))
        view = View(window, (sample.image.shape[0], sample.image.shape[1]), size, margin, moves)
        return {"image": self._tensor(unit), **self._targets(loaded, maps, view)}

    def _maps(self, loaded: _Loaded, window: Window, size: Size) -> dict[str, NDArray[Any]]:
        """The targets of pixels in the window, resized: class indices, border weights, ids of objects."""
        sample, maps = loaded.sample, {}
        if "segment" in self.heads:
            maps["mask"] = _cut(sample.mask, window, size)
        if loaded.weights is not None:
            maps["border_weight"] = resize(cut_image(loaded.weights[..., None], window), size)[..., 0]
        if "instances" in self.heads:
            maps["ids"] = _cut(None if sample.instances is None else sample.instances.ids, window, size)
        return maps

    def _targets(self, loaded: _Loaded, maps: Mapping[str, NDArray[Any]], view: View) -> dict[str, Tensor]:
        """The targets of the crop as tensors."""
        targets: dict[str, Tensor] = {}
        if "mask" in maps:
            targets["mask"] = torch.from_numpy(np.ascontiguousarray(maps["mask"], np.int64))
        if "border_weight" in maps:
            targets["border_weight"] = torch.from_numpy(np.ascontiguousarray(maps["border_weight"], np.float32))
        if "ids" in maps:
            ids, objects = np.array(maps["ids"], np.int32), loaded.objects or NO_BOXES
            ids[view.made_up()] = IGNORE_INDEX
            if self.instance_targets == "objects":
                targets |= object_targets(ids, objects, view)
            else:
                targets |= cell_targets(ids, objects.labels, border=self.heads["instances"].num_classes)
        if "detect" in self.heads:
            targets |= box_targets(loaded.sample.boxes, view)
        if "classify" in self.heads:
            targets["label"] = _label(loaded.sample)
        return targets

    def _window(self, loaded: _Loaded, generator: np.random.Generator) -> Window:
        """A window for one crop, with the pipeline's margin, magnified as the crop is, around it."""
        size = scaled_size(self.crop, self.augmenter.scale, generator)
        shown, foreground = _foreground(loaded, self.heads)
        image_size = loaded.sample.image.shape[0], loaded.sample.image.shape[1]
        inner = choose_window(image_size, size, generator, shown, foreground, self.foreground_share)
        rows, columns = (round(self.pipeline.margin * cut / crop) for cut, crop in zip(size, self.crop, strict=True))
        return Window(inner.top - rows, inner.left - columns, inner.height + 2 * rows, inner.width + 2 * columns)

    def _tensor(self, unit: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(self.pipeline.normalize(unit))


def _foreground(
    loaded: _Loaded, heads: Mapping[TaskName, ClassMap]
) -> tuple[NDArray[np.int16] | Boxes | None, tuple[int, ...]]:
    """What crops are placed around: classes of the mask, or of the objects."""
    sample = loaded.sample
    if sample.mask is not None:
        return sample.mask, heads["segment"].foreground
    if sample.boxes is not None:
        return sample.boxes, heads["detect"].foreground
    return (None, ()) if loaded.objects is None else (loaded.objects, heads["instances"].foreground)


def _cut(map_: NDArray[Any] | None, window: Window, size: Size) -> NDArray[Any]:
    """The window of a map (H, W), resized; `IGNORE_INDEX` beyond the border, and everywhere where there is none."""
    if map_ is None:
        return np.full(size, IGNORE_INDEX, np.int16)
    return resize_mask(cut_mask(map_, window), size)


def _stacked(maps: Sequence[NDArray[Any]]) -> Mask | None:
    """One map (H, W) as it is, several as (H, W, M) float32; None without maps."""
    if not maps:
        return None
    if len(maps) == 1:
        return maps[0] if maps[0].dtype == np.int16 else maps[0].astype(np.float32)
    return np.dstack(maps).astype(np.float32)


def _label(sample: Sample) -> Tensor:
    return torch.tensor(IGNORE_INDEX if sample.label is None else sample.label)


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**63))
