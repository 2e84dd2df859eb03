"""The order of training samples, and the loader that reads them ahead in worker processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from segkit.structures import IGNORE_INDEX


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample to be drawn: the `position`-th of pass `epoch`, from the record at `index`."""

    epoch: int
    position: int
    index: int


class EpochSampler(Sampler[Draw]):
    """Endless shuffled passes over the records, cut into epochs of equal length.

    Every pass takes each record once, in an order given by (seed, number of the pass). An epoch may be a part of a pass
    (many images, short epochs) or several (few large images, many crops of each). Where an epoch ends inside a pass the
    next one goes on there, so that at no time a record is more than one draw ahead of another.

    Set `epoch`, and `start` to go on inside an epoch, before iterating. The length stays that of the whole epoch.

    Args:
        num_records: records in the training set, at least 1.
        draws_per_epoch: samples drawn in an epoch, at least 1.
        seed: seed of the shuffling.
    """

    def __init__(self, num_records: int, draws_per_epoch: int, seed: int) -> None:
        if num_records < 1 or draws_per_epoch < 1:
            raise ValueError(
                f"cannot draw {draws_per_epoch} samples from {num_records} records; both must be at least 1"
            )
        self.num_records = num_records
        self.draws_per_epoch = draws_per_epoch
        self.seed = seed
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        return self.draws_per_epoch

    def __iter__(self) -> Iterator[Draw]:
        first = self.epoch * self.draws_per_epoch
        order, order_of = np.empty(0, np.intp), -1
        for position in range(self.start, self.draws_per_epoch):
            number, place = divmod(first + position, self.num_records)
            if number != order_of:
                order, order_of = np.random.default_rng((self.seed, number)).permutation(self.num_records), number
            yield Draw(self.epoch, position, int(order[place]))


class Share(Sampler[Draw]):
    """What one of several processes takes of an epoch: of every batch an equal part, so that all have as many batches.

    Together they take the draws of one process alone, batch by batch. An epoch smaller than a batch is one batch whose
    parts may differ by an image.

    Args:
        whole: the draws of all processes.
        batch_size: images of a batch of all processes together, a multiple of `count`.
        rank: which process this is, from 0.
        count: how many there are.
    """

    def __init__(self, whole: EpochSampler, batch_size: int, rank: int, count: int) -> None:
        if batch_size % count or len(whole) < count:
            raise ValueError(f"cannot share {len(whole)} draws in batches of {batch_size} among {count} processes")
        self.seed = whole.seed
        self.epoch = 0
        self.start = 0
        self._whole = whole
        self._rank = rank
        self._count = count
        self._end = max(len(whole) // batch_size * batch_size, min(len(whole), batch_size))

    def __len__(self) -> int:
        return len(range(self._rank, self._end, self._count))

    def __iter__(self) -> Iterator[Draw]:
        self._whole.epoch, self._whole.start = self.epoch, self.start
        for draw in self._whole:
            if draw.position < self._end and draw.position % self._count == self._rank:
                yield draw


def training_loader(
    dataset: Dataset[dict[str, Tensor]],
    sampler: EpochSampler | Share,
    batch_size: int,
    workers: int,
    pin_memory: bool = False,
    start_method: Literal["fork", "spawn", "forkserver"] | None = None,
) -> DataLoader[dict[str, Tensor]]:
    """Batches of the sampler's draws; every one is full, unless the whole epoch is smaller than a batch.

    Args:
        dataset: gives the sample of a `Draw`; picklable.
        sampler: the order; set its `epoch` before each pass over the loader.
        batch_size: samples per batch.
        workers: processes that read ahead; 0 reads in this one. They live as long as the loader.
        pin_memory: keep batches in page-locked memory, for copies to CUDA.
        start_method: how workers start; None: the platform's way.
    """
    ahead: dict[str, Any] = {}
    if workers > 0:
        ahead = {"persistent_workers": True, "prefetch_factor": 4, "multiprocessing_context": start_method}
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        pin_memory=pin_memory,
        drop_last=len(sampler) >= batch_size,
        collate_fn=collate,
        worker_init_fn=_settle_worker,
        # Its own generator: the loader would otherwise take its workers' seeds from torch's global one, and a resumed
        # run, which starts its loader at another moment, would find another state there.
        generator=torch.Generator().manual_seed(sampler.seed),
        **ahead,
    )


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Samples to a batch: tensors stacked, boxes filled up to one number by those without area, which do not count."""
    longest = max((len(item["boxes"]) for item in items if "boxes" in item), default=0)
    return {name: torch.stack([_filled(name, item[name], longest) for item in items]) for name in items[0]}


def _filled(name: str, tensor: Tensor, longest: int) -> Tensor:
    if name not in ("boxes", "box_label"):
        return tensor
    fill = 0 if name == "boxes" else IGNORE_INDEX
    rows = tensor.new_full((longest - len(tensor), *tensor.shape[1:]), fill)
    return torch.cat([tensor, rows])


def _settle_worker(_: int) -> None:
    """One thread: more would take processors from the training.

    And Ctrl-C, or a SIGTERM to the whole group as schedulers send it, is for the training alone, which saves.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # not 1: in a forked process that waits for ever for the threads its parent had
