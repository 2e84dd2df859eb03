"""`fit`: the training loop, put together."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from lightning.pytorch.strategies import DDPStrategy
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from segkit.errors import SegkitError, UsageError
from segkit.ops.words import counted
from segkit.tasks import Task
from segkit.training.checkpoint import Checkpoint, CheckpointFiles
from segkit.training.config import TrainingConfig
from segkit.training.ema import WeightAverage
from segkit.training.interrupt import Interrupted, Interrupts
from segkit.training.log import MetricsLog
from segkit.training.memory import out_of_memory
from segkit.training.meter import Meter
from segkit.training.module import TrainingModule
from segkit.training.pace import AgreedPace, BudgetPace, EpochPace, Pace
from segkit.training.position import Position, ResumableSampler
from segkit.training.precision import Precision, choose_precision
from segkit.training.processes import Processes
from segkit.training.progress import ProgressDisplay
from segkit.training.quiet import quiet_lightning
from segkit.training.validation import OnBest, Validate, Validation


@dataclass(frozen=True)
class FitResult:
    """What came of a training.

    Attributes:
        scores: the validation scores of the best network; empty when the time was too short for a validation.
        best_epoch: the epoch of the best network, from 1.
        epochs: epochs begun.
        steps: steps of the optimizer.
        seconds: time of the run, those before a resume included.
        stopped: what ended the run: `"epochs"`, `"budget"` or `"patience"`.
        precision: the arithmetic used and why.
        checkpoint: the last checkpoint.
    """

    scores: dict[str, float]
    best_epoch: int | None
    epochs: int
    steps: int
    seconds: float
    stopped: str
    precision: Precision
    checkpoint: Path


def fit(
    model: nn.Module,
    task: Task,
    loader: DataLoader[dict[str, Tensor]],
    validate: Validate,
    on_best: OnBest,
    config: TrainingConfig,
    folder: Path,
    device: torch.device | str,
    resume: bool = False,
    started: float | None = None,
    console: Console | None = None,
    score_name: str = "score",
    processes: Processes = Processes(),  # noqa: B008, it cannot change
) -> FitResult:
    """Train `model` in place; it is left holding its last averaged weights.

    Several processes call it alike, each with its own share of the batches. Gradients are means over them all; batch
    norms see the share of their process, and their statistics are those of the first.

    Args:
        model: images (N, C, H, W) to outputs by head; for a resume it must begin as it began then.
        task: the loss.
        loader: training batches with `"image"` and the task's targets; its sampler has `epoch` and `start`,
            and its length is that of a whole epoch.
        validate: scores of the network, in evaluation mode and with averaged weights; `"score"` decides.
        on_best: saves the network, called as `validate` is, whenever `"score"` is the highest so far.
        config: settings; exactly one of `epochs` and `budget_seconds` given.
        folder: gets `checkpoints/last.ckpt` and `metrics.csv`.
        device: `"cpu"`, `"cuda"`, `"cuda:1"` or `"mps"`.
        resume: go on from the folder's checkpoint; from the beginning where the run was killed before its first.
        started: `time.monotonic()` at the run's start, from which the budget counts; None: now.
        console: where to tell of the progress; None: standard error.
        score_name: what `"score"` is called there.
        processes: those that train together; the first validates and writes.

    Raises:
        UsageError: neither epochs nor budget, or a loader without a batch.
        Interrupted: Ctrl-C or SIGTERM, after saving.
        OutputError: a checkpoint or the log cannot be written.
        SegkitError: the loss is no number, or the batch does not fit into the device's memory.
    """
    if not isinstance(loader.sampler, ResumableSampler):
        raise TypeError(
            f"the loader's sampler needs the attributes epoch and start; {type(loader.sampler).__name__} has not both"
        )
    device = torch.device(device)
    console = console if console is not None else Console(stderr=True)
    precision = choose_precision(config.precision, device)
    pace = _create_pace(config, len(loader), started if started is not None else time.monotonic())

    meter, average = Meter(processes.count), WeightAverage(config.ema_decay)
    interrupts = Interrupts(console, processes)
    log = MetricsLog(folder / "metrics.csv")
    display = ProgressDisplay(console, pace, meter, config.epochs, score_name)
    agreed = AgreedPace(pace, processes) if processes.count > 1 else pace
    validation = Validation(
        validate, on_best, average, agreed, meter, config.patience, (log.add, display.validated), processes
    )
    checkpoint = folder / "checkpoints" / "last.ckpt"
    # The order matters: what a hook of one reads, the same hook of an earlier one has brought up to date.
    callbacks: list[Callback] = [
        interrupts,
        Position(loader.sampler, config.batch_size, config.seed, processes.rank),
        average,
        meter,
        *([display, validation, log] if processes.is_first else [validation]),
        Checkpoint(checkpoint, config.checkpoint_seconds, interrupts, meter, processes),
    ]
    if config.channels_last:
        model.to(memory_format=torch.channels_last)
    module = TrainingModule(model, task, config, agreed).train()
    last = checkpoint if resume and checkpoint.exists() else None
    with quiet_lightning(), _errors_explained(module, precision, device, interrupts, processes):
        trainer = _create_trainer(config, device, precision, callbacks, folder, processes)
        trainer.fit(module, loader, ckpt_path=last, weights_only=True)
    return FitResult(
        scores=validation.best_scores or {},
        best_epoch=validation.best_epoch,
        epochs=trainer.current_epoch,
        steps=trainer.global_step,
        seconds=pace.elapsed,
        stopped=validation.stopped or "epochs",
        precision=precision,
        checkpoint=checkpoint,
    )


def _create_pace(config: TrainingConfig, batches: int, started: float) -> Pace:
    if batches == 0:
        images = counted(config.batch_size, "image")
        raise UsageError(f"the training set gives no batch of {images}; use a smaller '--batch-size'")
    if config.budget_seconds is not None:
        return BudgetPace(started, config.budget_seconds, config.validations)
    if config.epochs is None:
        raise UsageError("neither epochs nor a budget was given; use '--epochs 50' or '--budget 10m'")
    return EpochPace(started, config.epochs, math.ceil(batches / config.accumulate), config.validate_every)


def _create_trainer(
    config: TrainingConfig,
    device: torch.device,
    precision: Precision,
    callbacks: list[Callback],
    folder: Path,
    processes: Processes,
) -> Trainer:
    # Without others it is one process, whatever cluster it was started on.
    plugins: list[Any] = [CheckpointFiles(), processes.environment or LightningEnvironment()]
    here, several = processes.count // processes.nodes, processes.count > 1
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=here if several or device.type != "cuda" else [device.index or 0],
        num_nodes=processes.nodes,
        # A batch may have no object in one process, where parts of a network then learn nothing.
        strategy=DDPStrategy(find_unused_parameters=True) if several else "auto",
        precision="bf16-mixed" if precision.name == "bf16" else "32-true",
        max_epochs=config.epochs if config.epochs is not None else -1,
        accumulate_grad_batches=config.accumulate,
        callbacks=callbacks,
        plugins=plugins,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )


@contextmanager
def _errors_explained(
    module: TrainingModule,
    precision: Precision,
    device: torch.device,
    interrupts: Interrupts,
    processes: Processes,
) -> Iterator[None]:
    """Errors of the loop in the user's words."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        if module.last_batch is None:
            raise SegkitError(f"the network does not fit into the memory of {device}; use a smaller one") from error
        raise out_of_memory(module, module.last_batch, precision, device, processes.count) from error
    except Exception as error:
        if interrupts.received is None or isinstance(error, SegkitError):
            raise
        message = "interrupted while gradients accumulated; the last checkpoint is the one saved before"
        raise Interrupted(interrupts.received, message) from error
