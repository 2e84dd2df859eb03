"""The processes of one training: which of them this is, how they find each other, and what they agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)
from torch import distributed

from segkit.errors import SegkitError, UsageError

PATIENCE = timedelta(days=1)
"""The longest that one process waits for another: the first validates while the others wait."""


class LostProcessError(SegkitError):
    """Another process of the training has ended; why, is that one's to say."""


@dataclass(frozen=True)
class Processes:
    """The processes that train one network, seen from one of them.

    Attributes:
        count: how many there are, on all machines.
        rank: which of them this is, from 0; the first validates and writes every file.
        nodes: the machines they are spread over evenly.
        environment: how Lightning finds the others; None: there are none.
    """

    count: int = 1
    rank: int = 0
    nodes: int = 1
    environment: ClusterEnvironment | None = None

    @property
    def is_first(self) -> bool:
        """Whether this one decides, tells and writes."""
        return self.rank == 0

    def of_first(self, value: Any) -> Any:
        """The first process's `value`, a plain one; all must ask at the same place."""
        if self.count == 1:
            return value
        told = [value]
        distributed.broadcast_object_list(told, src=0, device=torch.device("cpu"))
        return told[0]

    def number_of_first(self, value: float) -> float:
        """As `of_first`, in a tenth of the time."""
        return self.largest(value if self.is_first else float("-inf"))

    def largest(self, value: float) -> float:
        """The largest of the processes' values; all must ask at the same place."""
        if self.count == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(number, distributed.ReduceOp.MAX)
        return float(number)


def outer_environment(devices: int, nodes: int) -> ClusterEnvironment | None:
    """The launcher that started several processes, torchrun or SLURM's srun; None where this is the only one.

    Raises `UsageError` when it started other than `devices` on each of `nodes`, or none while `nodes` need one each.
    """
    found: ClusterEnvironment | None = None
    if TorchElasticEnvironment.detect():
        found = TorchElasticEnvironment()
    elif devices * nodes > 1 and SLURMEnvironment.detect():  # srun also starts commands that do not belong together
        found = SLURMEnvironment(auto_requeue=False)
    started = found.world_size() if found is not None else 1
    if started == 1 and nodes == 1:
        return None
    if started != devices * nodes:
        raise UsageError(
            f"--devices {devices} and --nodes {nodes} need {devices * nodes} processes and {started} started; "
            f"on several machines start one on each with torchrun or srun (docs/training.md), alike on all"
        )
    return found


@contextmanager
def joined(environment: ClusterEnvironment, nodes: int, device: str) -> Iterator[Processes]:
    """Join those that an outer launcher started; they can agree inside the block.

    Args:
        environment: the launcher's.
        nodes: the machines they run on.
        device: kind of device they compute on.
    """
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    processes = Processes(environment.world_size(), environment.global_rank(), nodes, environment)
    with _connected(processes, device, "env://"):
        yield processes


@contextmanager
def joined_here(rank: int, count: int, device: str, meeting: Path) -> Iterator[Processes]:
    """Join those that segkit started on this machine, which find each other by the file `meeting`."""
    os.environ["LOCAL_RANK"] = str(rank)  # where Lightning looks for it
    processes = Processes(count, rank, environment=LightningEnvironment())
    with _connected(processes, device, meeting.as_uri()):
        yield processes


@contextmanager
def _connected(processes: Processes, device: str, meeting: str) -> Iterator[None]:
    """Wait for the others; say in one line when one is lost, for which torch has no class of errors of its own."""
    # What is agreed on stands in the processor's memory, so that agreeing need not wait for a GPU.
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    try:
        distributed.init_process_group(
            backend, init_method=meeting, timeout=PATIENCE, world_size=processes.count, rank=processes.rank
        )
        yield
    except (RuntimeError, distributed.DistError) as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        raise LostProcessError(f"process {processes.rank} ends because another one did") from error
    distributed.destroy_process_group()
