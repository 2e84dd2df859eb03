"""Several processes on this machine that train one run, started, watched and ended together.

Each begins from the run folder alone, as a resumed run does. So it does not matter who asked for the training: the
command line, a notebook, or a script without `if __name__ == "__main__"`, which must not be begun anew in each.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from segkit.errors import SegkitError
from segkit.experiment.run import Run
from segkit.training.interrupt import Interrupted
from segkit.training.processes import LostProcessError

GRACE = 10.0
"""Seconds that the others have to end by themselves after one has."""

LOOK_EVERY = 0.1


def train_here(run: Run, count: int, started: float, quiet: bool) -> None:
    """Train a run whose settings are written in `count` processes, to its last epoch.

    Args:
        run: the run.
        count: how many processes.
        started: `time.monotonic()` from which a budget counts, which is the same clock for all.
        quiet: whether the first is to print nothing.

    Raises:
        SegkitError: what the first one to fail said; the others have ended too.
    """
    with tempfile.TemporaryDirectory(prefix="segkit-processes-") as name:
        scratch = Path(name)
        workers = [_begin(run, rank, count, started, quiet, scratch) for rank in range(count)]
        try:
            with _signals_passed_on(workers) as received:
                _wait(workers)
        finally:
            for worker in workers:
                worker.kill()  # does nothing to those that have ended
                worker.wait()
        if any(worker.returncode for worker in workers):
            raise _reason(workers, scratch, received)


def error_file(scratch: Path, rank: int) -> Path:
    """Where a process leaves the error that ended it."""
    return scratch / f"{rank}.error"


def _begin(run: Run, rank: int, count: int, started: float, quiet: bool, scratch: Path) -> subprocess.Popen[bytes]:
    order = [str(run.folder.resolve()), str(scratch), rank, count, started, int(quiet)]
    outer = {name: value for name, value in os.environ.items() if not name.startswith("TORCHELASTIC_")}
    # Torch would warn of what is on purpose: to look for parameters without a gradient even where there are none.
    own = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    with (scratch / f"{rank}.txt").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "segkit.experiment.worker", *map(str, order)],
            env={**outer, **own},
            stdin=subprocess.PIPE,  # closed when this process ends, however it does: then they end too
            stdout=None if rank == 0 else said,
            stderr=None if rank == 0 else said,
            start_new_session=True,  # Ctrl-C comes to them from here, once
        )


def _wait(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until all have ended, or one has failed and the others had their time."""
    deadline = float("inf")
    while any(worker.poll() is None for worker in workers) and time.monotonic() < deadline:
        if deadline == float("inf") and any(worker.returncode for worker in workers):
            deadline = time.monotonic() + GRACE
        time.sleep(LOOK_EVERY)


@contextlib.contextmanager
def _signals_passed_on(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[list[int]]:
    """Inside the block Ctrl-C and SIGTERM go to the workers, which save; yields the list of those that came."""
    received: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        for worker in workers:
            worker.send_signal(number)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _reason(workers: Sequence[subprocess.Popen[bytes]], scratch: Path, received: Sequence[int]) -> SegkitError:
    """The error of the process that failed, not those of the others that missed it."""
    files = [error_file(scratch, rank) for rank in range(len(workers))]
    errors: list[SegkitError] = [pickle.loads(file.read_bytes()) for file in files if file.exists()]
    own = [error for error in errors if not isinstance(error, LostProcessError)]
    if own:
        return own[0]
    if received:
        return Interrupted(received[0], "interrupted before the first step was done")
    crashed = [rank for rank, file in enumerate(files) if workers[rank].returncode and not file.exists()]
    rank = min(crashed, key=lambda rank: workers[rank].returncode, default=0)  # those killed before those that raised
    code, said = workers[rank].returncode, (scratch / f"{rank}.txt").read_text(errors="replace").strip()
    print(said, end="\n" if said else "", file=sys.stderr)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    last = f": {said.splitlines()[-1]}" if said else ""
    return SegkitError(f"process {rank} of 0 to {len(workers) - 1} {how}{last}; '--resume' goes on from the last save")
