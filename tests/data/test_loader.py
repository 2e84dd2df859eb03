"""The order of draws, and the loader that gives the same batches however many workers read them."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segkit.data.augment import Augmenter
from segkit.data.dataset import TrainingSet
from segkit.data.loader import Draw, EpochSampler, collate, training_loader
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.pipeline import Pipeline
from segkit.structures import IGNORE_INDEX


def draws_of(sampler: EpochSampler, epochs: int) -> list[list[Draw]]:
    drawn = []
    for epoch in range(epochs):
        sampler.epoch = epoch
        drawn.append(list(sampler))
    return drawn


def test_each_pass_takes_every_record_once() -> None:
    first, second = draws_of(EpochSampler(20, 20, seed=3), 2)
    assert sorted(draw.index for draw in first) == list(range(20))
    assert sorted(draw.index for draw in second) == list(range(20))
    assert [draw.index for draw in first] != [draw.index for draw in second]
    assert [draw.position for draw in first] == list(range(20))
    assert {draw.epoch for draw in second} == {1}


@pytest.mark.parametrize("draws", [3, 7, 10, 25])
def test_no_record_is_more_than_one_draw_ahead(draws: int) -> None:
    counts: Counter[int] = Counter(dict.fromkeys(range(10), 0))
    for epoch in draws_of(EpochSampler(10, draws, seed=0), 12):
        for draw in epoch:
            counts[draw.index] += 1
            assert max(counts.values()) - min(counts.values()) <= 1


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    sampler = EpochSampler(30, 45, seed=5)
    epochs = draws_of(sampler, 3)
    sampler.epoch = 1
    assert list(sampler) == epochs[1]
    other = draws_of(EpochSampler(30, 45, seed=6), 1)
    assert other[0] != epochs[0]


def test_going_on_inside_an_epoch() -> None:
    sampler = EpochSampler(7, 20, seed=0)
    _, whole = draws_of(sampler, 2)
    sampler.start = 8
    assert list(sampler) == whole[8:]
    assert len(sampler) == 20


@pytest.mark.parametrize(("records", "draws"), [(0, 5), (5, 0)])
def test_empty_epochs_are_refused(records: int, draws: int) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        EpochSampler(records, draws, seed=0)


class Echo(Dataset[dict[str, Tensor]]):
    """Gives back the draw and how many threads the process that serves it may use."""

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        cv2.GaussianBlur(np.zeros((512, 512), np.float32), (0, 0), 3)
        return {"draw": torch.tensor([draw.epoch, draw.position, draw.index]), "threads": torch.tensor(threads())}


def threads() -> list[int]:
    return [torch.get_num_threads(), cv2.getNumThreads()]


def test_batches_are_full_unless_the_epoch_is_smaller_than_one() -> None:
    sizes = [len(batch["draw"]) for batch in training_loader(Echo(), EpochSampler(10, 10, 0), 4, workers=0)]
    assert sizes == [4, 4]
    sizes = [len(batch["draw"]) for batch in training_loader(Echo(), EpochSampler(3, 3, 0), 4, workers=0)]
    assert sizes == [3]


def test_workers_use_one_thread_even_after_this_process_used_many() -> None:
    """With `cv2.setNumThreads(1)` in the workers most of them hang or crash."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    cv2.GaussianBlur(np.zeros((2048, 2048), np.float32), (0, 0), 3)  # starts threads that a forked process lacks
    for _ in range(3):
        loader = training_loader(Echo(), EpochSampler(4, 4, 0), 2, workers=2, start_method="fork")
        assert [batch["threads"].tolist() for batch in loader] == [[[1, 1], [1, 1]]] * 2
    cv2.setNumThreads(before)


def test_signals_to_the_group_do_not_end_the_workers() -> None:
    """Ctrl-C and a scheduler's SIGTERM reach the whole group; the training needs its loader until it has saved."""
    batches: Any = iter(training_loader(Echo(), EpochSampler(20, 20, 0), 2, workers=1, start_method="fork"))
    next(batches)
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(batches._workers[0].pid, number)
        time.sleep(0.1)
        assert batches._workers[0].is_alive()
    assert len(list(batches)) == 9


def test_the_loader_leaves_torchs_global_random_state_alone() -> None:
    """A resumed run makes its loader at another moment; it must find the same state for its dropout."""
    for workers in (0, 1):
        state = torch.get_rng_state()
        next(iter(training_loader(Echo(), EpochSampler(4, 4, 0), 2, workers)))
        assert torch.equal(torch.get_rng_state(), state)
    ordinary = DataLoader(Echo(), batch_size=2, sampler=EpochSampler(4, 4, 0))
    next(iter(ordinary))
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    """A real training set with every kind of target and the strongest augmentation."""
    out: Path = tmp_path_factory.mktemp("cells") / "sample"
    write_sample(out, count=6, size=96)
    dataset = open_dataset(out, heads=("segment", "instances", "detect", "classify"))
    pipeline = Pipeline(channels=1, mean=(0.5,), std=(0.2,))
    augmenter = Augmenter("strong", 1, orientation_free=True)
    return TrainingSet(dataset.records, dataset.heads, pipeline, augmenter, (64, 64), seed=9)


def batches_of(cells: TrainingSet, workers: int, epochs: int = 2, start: int = 0, **options: Any) -> Iterator[bytes]:
    """Two epochs of three batches as bytes; the first begins at `start`."""
    sampler = EpochSampler(len(cells), 12, seed=9)
    loader = training_loader(cells, sampler, 4, workers, **options)
    for epoch in range(epochs):
        sampler.epoch, sampler.start = epoch, start if epoch == 0 else 0
        for batch in loader:
            yield b"".join(target.numpy().tobytes() for target in batch.values())


@pytest.mark.parametrize(("workers", "method"), [(1, "fork"), (2, "fork"), (2, "spawn")])
def test_any_number_and_kind_of_workers_gives_the_same_batches(cells: TrainingSet, workers: int, method: str) -> None:
    expected = list(batches_of(cells, 0))
    assert len(set(expected)) == 6
    assert list(batches_of(cells, workers, start_method=method)) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_gives_the_batches_that_were_left(cells: TrainingSet, workers: int) -> None:
    expected = list(batches_of(cells, 0))
    assert list(batches_of(cells, workers, start=4)) == expected[1:]


def test_batches_are_filled_up_with_boxes_that_do_not_count() -> None:
    items = [
        {"image": torch.zeros(1, 4, 4), "boxes": torch.rand(rows, 4), "box_label": torch.arange(rows)}
        for rows in (2, 0, 3)
    ]
    batch = collate(items)
    assert batch["image"].shape == (3, 1, 4, 4)
    for item, boxes, labels in zip(items, batch["boxes"], batch["box_label"], strict=True):
        rows = len(item["boxes"])
        assert torch.equal(boxes[:rows], item["boxes"])
        assert not boxes[rows:].any()
        assert labels.tolist() == [*range(rows), *[IGNORE_INDEX] * (3 - rows)]
