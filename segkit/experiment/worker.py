"""One of several processes that train a run: `python -m segkit.experiment.worker`, started by `launch` alone."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from pathlib import Path

from segkit.errors import SegkitError
from segkit.experiment.console import Teller
from segkit.experiment.launch import error_file
from segkit.experiment.run import Run
from segkit.experiment.start import join
from segkit.inference.engines.torch import resolve_device
from segkit.training.processes import joined_here


def main() -> None:
    """Train as part of the run that the arguments name; an error goes to its file, to be told by the launcher."""
    folder, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    rank, count, started, quiet = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), bool(int(sys.argv[6]))
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    run = Run(folder)
    try:
        with joined_here(rank, count, resolve_device(run.config.device).type, scratch / "meeting") as processes:
            join(run, processes, started, Teller(quiet or rank > 0))
    except SegkitError as error:
        error_file(scratch, rank).write_bytes(pickle.dumps(error))
        sys.exit(error.exit_code)


def _end_with_launcher() -> None:
    """Save and leave when the launcher is gone: nobody would know of this process."""
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written there, so it returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
