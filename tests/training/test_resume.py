"""A killed run goes on as if nothing had happened: the same weights, bit for bit."""

from __future__ import annotations

import csv
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from segkit.errors import ConfigError, SegkitError
from segkit.losses import create_loss
from segkit.tasks import ClassifyTask
from segkit.training import TrainingConfig
from segkit.training.ema import WeightAverage
from segkit.training.position import Position
from tests.training.tiny import TinyNet, main, overlap, run, tiny_net

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.tiny"])  # the imports take seconds; every child starts with them done


class CrashError(RuntimeError):
    """Stands for whatever ends a process."""


class Crashing(nn.Module):
    """A network that fails in its forward pass number `at` of training (from 0)."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.layers = tiny_net().layers
        self._left = at

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if self.training:
            self._left -= 1
            if self._left < 0:
                raise CrashError
        return {"segment": self.layers(images)}


class Classifying(Crashing):
    """The same with one answer per image."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"classify": super().forward(images)["segment"].mean((2, 3))}


def crash_and_resume(folder: Path, config: TrainingConfig, at: int) -> TinyNet:
    with pytest.raises(CrashError):
        run(folder, config, Crashing(at))
    torch.rand(17)  # a new process finds other random numbers
    model = tiny_net()
    run(folder, config, model, resume=True)
    return model


def assert_equal(model: nn.Module | Mapping[str, Tensor], reference: nn.Module | Mapping[str, Tensor]) -> None:
    state, expected = (m.state_dict() if isinstance(m, nn.Module) else m for m in (model, reference))
    assert list(state) == list(expected)
    different = [name for name in state if not torch.equal(state[name], expected[name])]
    assert not different


CONFIG = TrainingConfig(epochs=3, learning_rate=0.03, checkpoint_seconds=0.0, workers=0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> TinyNet:
    model = tiny_net()
    run(tmp_path_factory.mktemp("uninterrupted"), CONFIG, model)
    return model


@pytest.mark.parametrize("at", range(1, 21, 2))
def test_every_moment_of_an_epoch(tmp_path: Path, uninterrupted: TinyNet, at: int) -> None:
    assert_equal(crash_and_resume(tmp_path, CONFIG, at), uninterrupted)


def test_before_the_first_checkpoint(tmp_path: Path, uninterrupted: TinyNet) -> None:
    assert_equal(crash_and_resume(tmp_path, CONFIG, at=0), uninterrupted)


def test_from_the_end_of_the_epoch_before(tmp_path: Path, uninterrupted: TinyNet) -> None:
    assert_equal(
        crash_and_resume(tmp_path, CONFIG.model_copy(update={"checkpoint_seconds": 300.0}), at=17), uninterrupted
    )


@pytest.mark.parametrize("at", [8, 9, 10, 13])
def test_while_gradients_accumulate(tmp_path: Path, at: int) -> None:
    config = CONFIG.model_copy(update={"accumulate": 3})
    reference = tiny_net()
    run(tmp_path / "uninterrupted", config, reference)
    assert_equal(crash_and_resume(tmp_path / "resumed", config, at), reference)


@pytest.mark.parametrize("at", [3, 10])
def test_with_sgd(tmp_path: Path, at: int) -> None:
    config = CONFIG.model_copy(update={"optimizer": "sgd"})
    reference = tiny_net()
    run(tmp_path / "uninterrupted", config, reference)
    assert_equal(crash_and_resume(tmp_path / "resumed", config, at), reference)


@pytest.mark.parametrize("at", [3, 10])
def test_with_mixup(tmp_path: Path, at: int) -> None:
    """Which images are blended, and in what shares, is drawn in the step: it must not depend on the steps before."""

    def train(folder: Path, crash_at: int, resume: bool = False, mixup: float = 0.4) -> nn.Module:
        model = Classifying(crash_at)
        task = ClassifyTask(create_loss("ce", 2), mixup=mixup)
        run(folder, CONFIG, model, validate=lambda _: {"score": 0.0}, resume=resume, task=task)
        return model

    reference = train(tmp_path / "uninterrupted", crash_at=99)
    with pytest.raises(CrashError):
        train(tmp_path / "resumed", at)
    torch.rand(17)
    resumed = train(tmp_path / "resumed", 99, resume=True)
    assert_equal(resumed, reference)
    with pytest.raises(AssertionError):
        assert_equal(train(tmp_path / "unmixed", 99, mixup=0.0), reference)


def test_resumed_twice(tmp_path: Path, uninterrupted: TinyNet) -> None:
    for at in (4, 5):
        with pytest.raises(CrashError):
            run(tmp_path, CONFIG, Crashing(at), resume=True)
    model = tiny_net()
    run(tmp_path, CONFIG, model, resume=True)
    assert_equal(model, uninterrupted)


def without_place(position: Position, state: dict[str, Any]) -> None:
    position._epoch, position._batch = state["epoch"], state["batch"]


@pytest.mark.parametrize(
    ("owner", "name", "replacement"),
    [
        (Position, "load_state_dict", without_place),
        (Position, "on_train_batch_start", lambda *_: None),
        (WeightAverage, "load_state_dict", lambda self, state: setattr(self, "_updates", state["updates"])),
    ],
    ids=["the sampler's place", "the random state of each step", "the averages"],
)
def test_every_cure_is_needed(
    tmp_path: Path, uninterrupted: TinyNet, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, replacement: Any
) -> None:
    monkeypatch.setattr(owner, name, replacement)
    reference = tiny_net()
    torch.manual_seed(5)
    run(tmp_path / "uninterrupted", CONFIG, reference)
    with pytest.raises(AssertionError):
        assert_equal(crash_and_resume(tmp_path / "resumed", CONFIG, at=10), reference)


def test_the_log_comes_out_as_if_uninterrupted(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 4, "checkpoint_seconds": 300.0})
    run(tmp_path / "uninterrupted", config)
    crash_and_resume(tmp_path / "resumed", config, at=24)
    tables = []
    for name in ("uninterrupted", "resumed"):
        with (tmp_path / name / "metrics.csv").open() as file:
            tables.append([{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)])
    assert tables[0] == tables[1]
    assert [row["epoch"] for row in tables[0]] == ["1", "2", "3", "4"]


def test_rows_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    def stop_in_third(model: nn.Module) -> dict[str, float]:
        scores = overlap(model)
        if (tmp_path / "metrics.csv").exists() and len((tmp_path / "metrics.csv").read_text().splitlines()) == 3:
            checkpoint.write_bytes(saved)  # as if the process had died between the log and the checkpoint of epoch 2
            raise CrashError
        return scores

    checkpoint, config = tmp_path / "checkpoints" / "last.ckpt", CONFIG.model_copy(update={"checkpoint_seconds": 300.0})
    with pytest.raises(CrashError):
        run(tmp_path, config, Crashing(at=7))
    saved = checkpoint.read_bytes()
    with pytest.raises(CrashError):
        run(tmp_path, config, validate=stop_in_third, resume=True)
    with pytest.raises(CrashError):
        run(tmp_path, config, Crashing(at=2), resume=True)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2


def test_best_score_and_patience_survive(tmp_path: Path) -> None:
    given = iter([0.5, 0.9, 0.8, 0.7, 0.6])
    saved: list[float] = []
    config = CONFIG.model_copy(update={"epochs": 9, "patience": 3})

    def play(model: nn.Module) -> dict[str, float]:
        return {"score": next(given)}

    def keep(model: nn.Module, scores: Mapping[str, float]) -> None:
        saved.append(scores["score"])

    with pytest.raises(CrashError):
        run(tmp_path, config, Crashing(at=24), validate=play, on_best=keep)
    result = run(tmp_path, config, validate=play, on_best=keep, resume=True)
    assert saved == [0.5, 0.9]
    assert (result.stopped, result.scores, result.best_epoch) == ("patience", {"score": 0.9}, 2)
    assert result.steps == 5 * 7


@pytest.mark.parametrize("config", [CONFIG, CONFIG.model_copy(update={"epochs": None, "budget_seconds": 1.0})])
def test_a_finished_run_is_not_begun_again(tmp_path: Path, config: TrainingConfig) -> None:
    first_model, second_model = tiny_net(), tiny_net()
    first = run(tmp_path, config, first_model)
    table = (tmp_path / "metrics.csv").read_text()
    second = run(tmp_path, config, second_model, resume=True)
    assert (second.steps, second.scores, second.stopped) == (first.steps, first.scores, first.stopped)
    assert (tmp_path / "metrics.csv").read_text() == table


def test_other_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        run(tmp_path, CONFIG, Crashing(at=9))
    changed = CONFIG.model_copy(update={"epochs": 5, "seed": 1})
    with pytest.raises(
        ConfigError, match=r"other settings: epochs was 3 and is now 5, seed was 0 and is now 1; resume without"
    ):
        run(tmp_path, changed, resume=True)
    run(tmp_path, CONFIG.model_copy(update={"workers": 1}), resume=True)  # on which no weight depends


def test_a_run_from_before_a_setting_existed_goes_on_with_its_default(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        run(tmp_path, CONFIG, Crashing(at=9))
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    saved = torch.load(checkpoint, weights_only=True)
    del saved["config"]["optimizer"]
    torch.save(saved, checkpoint)
    with pytest.raises(ConfigError, match="optimizer was adamw and is now sgd"):
        run(tmp_path, CONFIG.model_copy(update={"optimizer": "sgd"}), resume=True)
    assert run(tmp_path, CONFIG, resume=True).stopped == "epochs"


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CrashError):
        run(tmp_path, CONFIG, Crashing(at=9))
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(SegkitError, match=r"cannot resume from .*last\.ckpt: it is damaged or no checkpoint"):
        run(tmp_path, CONFIG, resume=True)


def start(folder: Path, resume: bool, delay: float) -> BaseProcess:
    arguments = [str(folder), str(folder / "config.yaml"), "--delay", str(delay), *(["--resume"] if resume else [])]
    process = PROCESSES.Process(target=main, args=(arguments,))
    process.start()
    return process


def prepare(folder: Path, config: TrainingConfig) -> Path:
    folder.mkdir()
    config.to_yaml(folder / "config.yaml")
    return folder


@pytest.mark.parametrize("checkpoint_seconds", [0.0, 300.0])
def test_killed_at_random_moments(tmp_path: Path, checkpoint_seconds: float) -> None:
    config = CONFIG.model_copy(update={"epochs": 16, "workers": 2, "checkpoint_seconds": checkpoint_seconds})
    reference = start(prepare(tmp_path / "uninterrupted", config), resume=False, delay=0)
    reference.join()
    folder, moments, kills = prepare(tmp_path / "killed", config), random.Random(0), 0
    checkpoint = folder / "checkpoints" / "last.ckpt"
    while not (folder / "final.pt").exists():
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else None
        process = start(folder, resume=True, delay=0.01)
        while process.is_alive() and (not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before):
            time.sleep(0.01)  # at least one checkpoint further, so that the loop ends
        process.join(timeout=moments.uniform(0, 0.4) if kills < 5 else None)
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
    assert kills >= 2
    state, expected = (
        torch.load(tmp_path / name / "final.pt", weights_only=True) for name in ("killed", "uninterrupted")
    )
    assert_equal(state, expected)


@pytest.mark.parametrize(
    ("send", "number", "exit_code"),
    [
        (os.kill, signal.SIGTERM, 143),
        (os.kill, signal.SIGINT, 130),
        (os.killpg, signal.SIGINT, 130),
        (os.killpg, signal.SIGTERM, 143),
    ],
    ids=["SIGTERM", "SIGINT", "Ctrl-C, which reaches the workers too", "SIGTERM of a scheduler, which does too"],
)
def test_signals_save_and_leave(
    tmp_path: Path, send: Callable[[int, int], None], number: signal.Signals, exit_code: int
) -> None:
    config = CONFIG.model_copy(update={"epochs": 4, "workers": 1, "checkpoint_seconds": 300.0})
    reference = start(prepare(tmp_path / "uninterrupted", config), resume=False, delay=0)
    reference.join()
    folder = prepare(tmp_path / "stopped", config)
    process = start(folder, resume=False, delay=0.02)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    while not checkpoint.exists():
        time.sleep(0.01)
    time.sleep(0.1)  # into the second epoch
    assert process.pid is not None
    send(process.pid, number)
    process.join()
    assert process.exitcode == exit_code
    position = torch.load(checkpoint, weights_only=True)["callbacks"]["Position"]
    assert position["batch"] > 0, "saved inside the epoch"
    start(folder, resume=True, delay=0).join()
    state, expected = (
        torch.load(tmp_path / name / "final.pt", weights_only=True) for name in ("stopped", "uninterrupted")
    )
    assert_equal(state, expected)
