"""The data set that training draws from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from segkit.data.augment import Augmenter
from segkit.data.crop import Size, choose_window, cut_image, cut_mask, resize_mask, scaled_size
from segkit.data.facts import ImageFacts
from segkit.data.loader import Draw
from segkit.data.samples import load_sample
from segkit.errors import DataError
from segkit.pipeline import Pipeline, resize
from segkit.structures import ClassMap, Progress, Record, Sample, TaskName

MASK_BYTES = np.dtype(np.int16).itemsize


def decoded_bytes(images: Iterable[ImageFacts], masks: bool) -> int:
    """Memory that the decoded images take, with their masks as class indices where `masks`."""
    return sum(
        image.size[0] * image.size[1] * (image.channels * np.dtype(image.dtype).itemsize + masks * MASK_BYTES)
        for image in images
    )


class TrainingSet(Dataset[dict[str, Tensor]]):
    """Crops (segment) or whole resized images (classify), augmented and normalized, each a function of its draw alone.

    Items are `"image"` (C, H, W) float32 and `"mask"` (H, W) int64 or `"label"` () int64.

    Args:
        records: the training records, all with a mask (segment) or a label (classify).
        classes: what the values in the masks, or the labels, mean.
        pipeline: turns stored values into the network's input.
        augmenter: random changes, one seed per draw.
        crop: height and width of the crops in pixels; for classification `pipeline.size` is taken instead.
        seed: seed of every draw, together with the draw's epoch and position.
        foreground_share: share of the crops that are placed around a foreground class.
        task: which target the items have.
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
        self._kept: tuple[Sample, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        generator = np.random.default_rng((self.seed, draw.epoch, draw.position))
        sample = self._kept[draw.index] if self._kept else load_sample(self.records[draw.index], self.classes)
        return self._segment(sample, generator) if self.task == "segment" else self._classify(sample, generator)

    def keep_in_memory(self, progress: Progress | None = None) -> None:
        """Decode every record now and keep it; `progress` is called with (done, total) after each.

        It takes the bytes `decoded_bytes` tells; workers that are forked share them, spawned ones get a copy each.
        """
        kept = []
        for record in self.records:
            kept.append(load_sample(record, self.classes))
            if progress is not None:
                progress(len(kept), len(self.records))
        self._kept = tuple(kept)

    def _segment(self, sample: Sample, generator: np.random.Generator) -> dict[str, Tensor]:
        image, mask = sample.image, sample.mask
        if mask is None:
            raise DataError(f"{sample.record.id} has no mask; segmentation trains on images with masks only")
        size = scaled_size(self.crop, self.augmenter.scale, generator)
        window = choose_window(mask.shape, size, generator, mask, self.classes.foreground, self.foreground_share)
        unit = resize(self.pipeline.to_unit(cut_image(image, window)), self.crop)
        unit, mask = self.augmenter(unit, resize_mask(cut_mask(mask, window), self.crop), _seed(generator))
        return {"image": self._tensor(unit), "mask": torch.from_numpy(np.ascontiguousarray(mask, np.int64))}

    def _classify(self, sample: Sample, generator: np.random.Generator) -> dict[str, Tensor]:
        if sample.label is None:
            raise DataError(f"{sample.record.id} has no label; classification trains on labelled images only")
        unit, _ = self.augmenter(self.pipeline.to_unit(sample.image), None, _seed(generator))
        return {"image": self._tensor(unit), "label": torch.tensor(sample.label)}

    def _tensor(self, unit: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(self.pipeline.normalize(unit))


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**63))
