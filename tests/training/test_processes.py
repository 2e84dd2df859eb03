"""Several processes train as one: the same draws, the same weights in each, the same decisions, one set of files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from segkit.data.loader import Draw, EpochSampler, Share, training_loader
from segkit.errors import SegkitError
from segkit.losses import create_loss
from segkit.tasks import PixelTask
from segkit.training import TrainingConfig
from segkit.training.fit import fit
from segkit.training.interrupt import Interrupted
from segkit.training.position import step_seed
from segkit.training.processes import LostProcessError, Processes, joined_here, outer_environment
from tests.training.tiny import Squares, keep_nothing, overlap

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.test_processes"])  # the imports take seconds

TIMEOUT = 300.0
"""Seconds after which processes that wait for each other have failed; they need a few."""

CONFIG = TrainingConfig(epochs=2, batch_size=4, learning_rate=0.03, workers=0, ema_decay=0.0, clip_norm=None)

Work = Callable[[Path, Processes], Any]


def plain_net() -> nn.Module:
    """Without batch norm and dropout, so that a share of a batch adds its share to the gradient and nothing else."""
    torch.manual_seed(0)
    return Plain()


class Plain(nn.Module):
    """Two convolutions, and a third that a batch may leave out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 3, padding=1))
        self.rare = nn.Conv2d(2, 2, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"segment": self.layers(images)}


class Sometimes(Plain):
    """Uses its third layer in the first process alone, as a head does whose objects are missing in a batch."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = super().forward(images)["segment"]
        return {"segment": self.rare(maps) if int(os.environ["LOCAL_RANK"]) == 0 else maps}


def train(
    folder: Path,
    processes: Processes,
    model: nn.Module | None = None,
    config: TrainingConfig = CONFIG,
    draws: int = 14,
    delay: float = 0.0,
    validate: Callable[[nn.Module], Mapping[str, float]] = overlap,
    resume: bool = False,
) -> dict[str, Tensor]:
    """Train on squares; the weights, with the number of steps among them."""
    model = model if model is not None else plain_net()
    sampler = Share(EpochSampler(draws, draws, seed=0), config.batch_size, processes.rank, processes.count)
    result = fit(
        model,
        PixelTask("segment", create_loss("ce", 2)),
        training_loader(Squares(delay), sampler, config.batch_size // processes.count, workers=0),
        validate,
        keep_nothing,
        config,
        folder / "run",
        "cpu",
        resume=resume,
        console=Console(quiet=True),
        processes=processes,
    )
    return {**model.state_dict(), "steps": torch.tensor(result.steps)}


def work_in(folder: Path, rank: int, count: int, work: Work) -> None:
    """What one process does; its answer, or the error that ended it, is left in a file."""
    torch.set_num_threads(1)
    try:
        with joined_here(rank, count, "cpu", folder / "meeting") as processes:
            answer = work(folder, processes)
    except SegkitError as error:
        answer = error
    torch.save(answer, folder / f"{rank}.pt")


def in_processes(folder: Path, work: Work, count: int = 2) -> list[Any]:
    """The answers of `count` processes; fails when they do not end."""
    folder.mkdir(exist_ok=True)
    started = [PROCESSES.Process(target=work_in, args=(folder, rank, count, work)) for rank in range(count)]
    for process in started:
        process.start()
    deadline = time.monotonic() + TIMEOUT
    for process in started:
        process.join(max(0.0, deadline - time.monotonic()))
    hanging = [process for process in started if process.is_alive()]
    for process in hanging:
        process.kill()
    assert not hanging, "processes wait for each other for ever"
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(count)]


def assert_close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(found) == list(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-5)


def assert_equal(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("draws", "batch_size", "count"), [(14, 4, 2), (15, 4, 2), (20, 6, 3), (3, 4, 2), (4, 4, 4)])
@pytest.mark.parametrize("epoch", [0, 3])
def test_shares_make_up_the_batches_of_one_process(draws: int, batch_size: int, count: int, epoch: int) -> None:
    def batches(sampler: Any, size: int) -> list[list[Draw]]:
        sampler.epoch = epoch
        loader: Any = training_loader(Echo(), sampler, size, workers=0)
        loader.collate_fn = list
        return list(loader)

    whole = batches(EpochSampler(draws, draws, seed=1), batch_size)
    shares = [
        batches(Share(EpochSampler(draws, draws, seed=1), batch_size, rank, count), batch_size // count)
        for rank in range(count)
    ]
    assert [len(share) for share in shares] == [len(whole)] * count, "else one would wait for the others for ever"
    for number, batch in enumerate(whole):
        together = [draw for share in shares for draw in share[number]]
        assert sorted(together, key=lambda draw: draw.position) == batch


class Echo(Squares):
    """Gives the draw itself."""

    def __getitem__(self, draw: Draw) -> Any:
        return draw


def test_a_share_goes_on_inside_an_epoch() -> None:
    share = Share(EpochSampler(14, 14, seed=1), 4, rank=1, count=2)
    everything = list(share)
    share.start = 8  # two batches of all processes
    assert list(share) == everything[4:]
    with pytest.raises(ValueError, match="batches of 5 among 2"):
        Share(EpochSampler(14, 14, seed=1), 5, 0, 2)


def test_every_process_draws_its_own_dropout() -> None:
    assert len({step_seed(0, 1, 2, rank) for rank in range(4)}) == 4


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    alone = train(tmp_path / "alone", Processes())
    first, second = in_processes(tmp_path / "two", train)
    assert_equal(first, second)
    assert_close(first, alone)
    files = sorted(path.name for path in (tmp_path / "two" / "run").rglob("*"))
    assert files == ["checkpoints", "last.ckpt", "metrics.csv"]
    rows = (tmp_path / "two" / "run" / "metrics.csv").read_text().splitlines()
    assert len(rows) == len((tmp_path / "alone" / "run" / "metrics.csv").read_text().splitlines()) == 1 + 2
    # And one process goes on with what two began, one epoch later.
    config = CONFIG.model_copy(update={"epochs": 2})
    assert_close(train(tmp_path / "two", Processes(), config=config, resume=True), alone)


def train_by_time(folder: Path, processes: Processes) -> dict[str, Tensor]:
    """By a clock on which the second process is far behind, in steps that take it longer."""
    config = CONFIG.model_copy(update={"epochs": None, "budget_seconds": 1.5})
    return train(folder, processes, config=config, delay=0.002 + 0.004 * processes.rank)


def test_a_budget_ends_for_all_at_the_same_step(tmp_path: Path) -> None:
    first, second = in_processes(tmp_path, train_by_time)
    assert_equal(first, second)
    assert first["steps"] > 0


def train_sometimes(folder: Path, processes: Processes) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return train(folder, processes, Sometimes())


def test_a_part_that_one_process_does_not_use(tmp_path: Path) -> None:
    first, second = in_processes(tmp_path, train_sometimes)
    assert_equal(first, second)
    torch.manual_seed(0)
    assert not torch.equal(first["rare.weight"], Sometimes().state_dict()["rare.weight"])


def train_interrupted(folder: Path, processes: Processes) -> dict[str, Tensor]:
    """The second process alone gets a SIGTERM in its third step."""

    class Interrupting(Plain):
        steps = 0

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            self.steps += self.training
            if self.steps == 2 and processes.rank == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().forward(images)

    torch.manual_seed(0)
    return train(folder, processes, Interrupting())


def resume(folder: Path, processes: Processes) -> dict[str, Tensor]:
    return train(folder, processes, resume=True)


def test_a_signal_to_one_ends_all_and_the_run_goes_on(tmp_path: Path) -> None:
    first, second = in_processes(tmp_path, train_interrupted)
    assert isinstance(first, Interrupted)
    assert isinstance(second, Interrupted)
    assert first.exit_code == second.exit_code == 143
    (tmp_path / "meeting").unlink()
    again, _ = in_processes(tmp_path, resume)
    assert_close(again, train(tmp_path / "alone", Processes()))


def fail_in_validation(folder: Path, processes: Processes) -> dict[str, Tensor]:
    """Only the first process validates."""

    def fail(model: nn.Module) -> dict[str, float]:
        raise SegkitError("cannot read cell_07.png: it is damaged")

    return train(folder, processes, validate=fail)


def test_an_error_of_one_ends_the_others(tmp_path: Path) -> None:
    first, second = in_processes(tmp_path, fail_in_validation)
    assert str(first) == "cannot read cell_07.png: it is damaged"
    assert isinstance(second, LostProcessError)
    assert str(second) == "process 1 ends because another one did"


def test_what_torchrun_started_must_be_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outer_environment(2, 1) is None
    with pytest.raises(SegkitError, match="--devices 2 and --nodes 2 need 4 processes and 1 started"):
        outer_environment(2, 2)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for name, value in {"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1", "GROUP_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    found = outer_environment(2, 2)
    assert found is not None
    assert (found.global_rank(), found.local_rank(), found.node_rank()) == (3, 1, 1)
    with pytest.raises(SegkitError, match="--devices 1 and --nodes 1 need 1 processes and 4 started"):
        outer_environment(1, 1)
