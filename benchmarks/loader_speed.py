"""What reading costs: a CamVid epoch through the loader against the same epoch on tensors kept in memory.

    python -m benchmarks.loader_speed

Both train the same network with the same step. The two alternate, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks._data import find
from segkit.data.augment import Augmenter
from segkit.data.config import DataConfig
from segkit.data.dataset import TrainingSet
from segkit.data.loader import EpochSampler, training_loader
from segkit.data.opening import OpenDataset, open_dataset
from segkit.losses import create_loss
from segkit.models.factory import create_model
from segkit.pipeline import Pipeline

Batch = dict[str, Tensor]


class Training:
    """A U-Net (3.3 million parameters) with its optimizer: bf16 autocast, channels-last, as in segkit's defaults."""

    def __init__(self, num_classes: int, precision: str) -> None:
        self._model = create_model(num_classes=num_classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loss = create_loss("ce_dice", num_classes)
        self._optimizer = torch.optim.AdamW(self._model.parameters(), 1e-3, fused=True)
        self._bf16 = precision == "bf16"

    def epoch(self, batches: Iterable[Batch]) -> tuple[float, float]:
        """Train on every batch; returns seconds in all, and seconds of them spent waiting for the next batch."""
        begin, waited = time.perf_counter(), 0.0
        iterator = iter(batches)
        while True:
            asked = time.perf_counter()
            batch = next(iterator, None)
            waited += time.perf_counter() - asked
            if batch is None:
                return time.perf_counter() - begin, waited
            self._step(batch)

    def _step(self, batch: Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            logits = self._model(batch["image"].contiguous(memory_format=torch.channels_last))["segment"]
        self._optimizer.zero_grad()
        self._loss(logits.float(), batch["mask"]).backward()
        self._optimizer.step()


def training_set(dataset: OpenDataset, images: int, crop: int) -> TrainingSet:
    """The first images of the training part, with the default augmentation."""
    pipeline = Pipeline(channels=3, mean=(0.41, 0.42, 0.43), std=(0.3, 0.3, 0.3))
    records = dataset.split("train")[:images]
    return TrainingSet(records, {"segment": dataset.classes}, pipeline, Augmenter("standard", 3), (crop, crop))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the unpacked CamVid; else found through SEGKIT_DATASETS")
    parser.add_argument("--images", type=int, default=367, help="images per epoch (%(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="epochs of each (%(default)s)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    options = parser.parse_args()

    dataset = open_dataset(find("camvid", options.data), DataConfig())
    images = training_set(dataset, options.images, options.crop)
    sampler = EpochSampler(len(images), len(images), seed=0)
    loader = training_loader(images, sampler, options.batch_size, options.workers)
    training = Training(dataset.classes.num_classes, options.precision)
    cached = list(loader)  # starts the workers as well: a run does that once, not every epoch
    training.epoch(cached[:2])
    ratios: list[float] = []
    print("| epoch | cached tensors, s | loader, s | of it waiting, s | ratio |\n| --- | --- | --- | --- | --- |")
    for epoch in range(1, options.repeats + 1):
        sampler.epoch = epoch
        (kept, _), (read, waited) = training.epoch(cached), training.epoch(loader)
        ratios.append(read / kept)
        print(f"| {epoch} | {kept:.1f} | {read:.1f} | {waited:.1f} | {read / kept:.3f} |", flush=True)
    print(f"median ratio {median(ratios):.3f}, at most 1.10 is wanted")


if __name__ == "__main__":
    main()
