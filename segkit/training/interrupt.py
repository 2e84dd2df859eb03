"""Ctrl-C and SIGTERM: finish the step, save, then leave."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from typing_extensions import override

from segkit.errors import SegkitError
from segkit.training.processes import Processes


class Interrupted(SegkitError):
    """The run was stopped from outside and can be resumed. `exit_code` is 130 for Ctrl-C and 143 for SIGTERM."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(f"{message}; '--resume' goes on from there")
        self.exit_code = 128 + number
        self._arguments = number, message

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int, str]]:
        """Pickle by the two arguments, so that the error survives the way from one process to another."""
        return type(self), self._arguments


class Interrupts(Callback):
    """Notes a SIGINT or SIGTERM for the checkpoint to act on; a second one leaves at once."""

    def __init__(self, console: Console, processes: Processes) -> None:
        self._console = console
        self._processes = processes
        self._previous: dict[int, Any] = {}
        self.received: int | None = None
        """The number of the signal that asks the run to end."""

    def agreed(self) -> int | None:
        """The signal that any of the processes received; all must ask at the same place."""
        return int(self._processes.largest(self.received or 0)) or None

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning, which would leave before the checkpoint is saved."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        self.restore()

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self.restore()

    def restore(self) -> None:
        """Let the signals do what they did before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is not None:
            raise Interrupted(number, "stopped at once; the last checkpoint is the one saved before")
        self.received = number
        self._console.print("stopping after this step and saving; once more stops at once")
