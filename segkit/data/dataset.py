"""The data set that training draws from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

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
from segkit.data.samples import load_sample
from segkit.errors import DataError
from segkit.pipeline import Pipeline, Scale, resize
from segkit.structures import ClassMap, Progress, Record, Sample, TaskName

MASK_BYTES = np.dtype(np.int16).itemsize
WEIGHT_BYTES = np.dtype(np.float32).itemsize


def decoded_bytes(images: Iterable[ImageFacts], masks: bool, weights: bool = False) -> int:
    """Memory that the decoded images take, with their masks as class indices and border weights where asked."""
    targets = masks * MASK_BYTES + weights * WEIGHT_BYTES
    return sum(
        image.size[0] * image.size[1] * (image.channels * np.dtype(image.dtype).itemsize + targets) for image in images
    )


class _Loaded(NamedTuple):
    """A record in memory: its sample, the scale of the whole image, and its border weights."""

    sample: Sample
    scale: Scale
    weights: Weights | None = None


class TrainingSet(Dataset[dict[str, Tensor]]):
    """Crops (segment) or resized images, cropped where the pipeline says so (classify), augmented and normalized.

    Each is a function of its draw alone.

    Items are `"image"` (C, H, W) float32 and `"mask"` (H, W) int64 or `"label"` () int64; with border weights
    `"border_weight"` (H, W) float32 as well. Where the pipeline has a margin, the image is that much higher and wider
    on each side: it shows what surrounds the crop, mirrored beyond the border of the whole image.

    Args:
        records: the training records, all with a mask (segment) or a label (classify).
        classes: what the values in the masks, or the labels, mean.
        pipeline: turns stored values into the network's input.
        augmenter: random changes, one seed per draw.
        crop: height and width of the crops in pixels; for classification the pipeline's `size` is taken instead, and
            where it has a `center_crop` a window of that size drawn at random.
        seed: seed of every draw, together with the draw's epoch and position.
        foreground_share: share of the crops that are placed around a foreground class.
        task: which target the items have.
        border_weight: the largest of the `border_weights`; 0: none.
        numbered_objects: whether the mask files number the objects, which then are the cells of the border weights.
    """

    def __init__(
        self,
        records: Sequence[Record],
        classes: ClassMap,
        pipeline: Pipeline,
        augmenter: Augmenter,
        crop: Size,
        seed: int = 0,
        foreground_share: float = 0.5,
        task: TaskName = "segment",
        border_weight: float = 0.0,
        numbered_objects: bool = False,
    ) -> None:
        if task == "classify" and pipeline.size is None:
            raise ValueError("classification needs a pipeline with a size, every image is resized to it")
        self.records = tuple(records)
        self.classes = classes
        self.pipeline = pipeline
        self.augmenter = augmenter
        self.crop = crop
        self.seed = seed
        self.foreground_share = foreground_share
        self.task = task
        self.border_weight = border_weight
        self.numbered_objects = numbered_objects
        self._kept: tuple[_Loaded, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        generator = np.random.default_rng((self.seed, draw.epoch, draw.position))
        loaded = self._kept[draw.index] if self._kept else self._load(self.records[draw.index])
        return self._segment(loaded, generator) if self.task == "segment" else self._classify(loaded.sample, generator)

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
        """A record's sample, its scale, and its border weights where they are asked for."""
        sample = load_sample(record, self.classes, self.task)
        scale = self.pipeline.scale_of(sample.image)
        if not self.border_weight or sample.mask is None:
            return _Loaded(sample, scale)
        objects = read_mask(record.mask) if self.numbered_objects and isinstance(record.mask, Path) else None
        return _Loaded(sample, scale, border_weights(sample.mask, self.classes, self.border_weight, objects))

    def _segment(self, loaded: _Loaded, generator: np.random.Generator) -> dict[str, Tensor]:
        sample, scale, weights = loaded
        if sample.mask is None:
            raise DataError(f"{sample.record.id} has no mask; segmentation trains on images with masks only")
        window, margin = self._window(sample.mask, generator), self.pipeline.margin
        size = self.crop[0] + 2 * margin, self.crop[1] + 2 * margin
        unit = resize(self.pipeline.to_unit(cut_image(sample.image, window), scale), size)
        target: Mask = resize_mask(cut_mask(sample.mask, window), size)
        if weights is not None:
            target = np.dstack([target, resize(cut_image(weights[..., None], window), size)]).astype(np.float32)
        unit, changed = self.augmenter(unit, target, _seed(generator))
        assert changed is not None
        changed = changed[margin : size[0] - margin, margin : size[1] - margin]
        mask = changed if weights is None else changed[..., 0]
        item = {"image": self._tensor(unit), "mask": torch.from_numpy(np.ascontiguousarray(mask, np.int64))}
        if weights is not None:
            item["border_weight"] = torch.from_numpy(np.ascontiguousarray(changed[..., 1], np.float32))
        return item

    def _window(self, mask: NDArray[np.int16], generator: np.random.Generator) -> Window:
        """A window for one crop, with the pipeline's margin, magnified as the crop is, around it."""
        size = scaled_size(self.crop, self.augmenter.scale, generator)
        inner = choose_window(mask.shape, size, generator, mask, self.classes.foreground, self.foreground_share)
        rows, columns = (round(self.pipeline.margin * cut / crop) for cut, crop in zip(size, self.crop, strict=True))
        return Window(inner.top - rows, inner.left - columns, inner.height + 2 * rows, inner.width + 2 * columns)

    def _classify(self, sample: Sample, generator: np.random.Generator) -> dict[str, Tensor]:
        if sample.label is None:
            raise DataError(f"{sample.record.id} has no label; classification trains on labelled images only")
        unit = self.pipeline.to_unit(sample.image)
        if self.pipeline.center_crop is not None:
            unit = cut_image(unit, choose_window(unit.shape[:2], self.pipeline.center_crop, generator))
        unit, _ = self.augmenter(unit, None, _seed(generator))
        return {"image": self._tensor(unit), "label": torch.tensor(sample.label)}

    def _tensor(self, unit: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(self.pipeline.normalize(unit))


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**63))
