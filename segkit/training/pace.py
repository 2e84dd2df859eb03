"""When a run ends, how far it is, and when it validates: counted in epochs, or in time."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from typing_extensions import override

from segkit.training.processes import Processes

VALIDATION_SHARE = 0.15
"""Validations of a budget run take at most about this share of its time."""


class Pace(ABC):
    """The run's clock.

    Args:
        started: `time.monotonic()` at the moment from which the run's time counts.
    """

    def __init__(self, started: float) -> None:
        self._origin = started
        self._validation_seconds = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of the run, those before a resume included."""
        return time.monotonic() - self._origin

    @abstractmethod
    def progress(self, step: int) -> float:
        """Share of the run that is over before the optimizer's step number `step` (from 0), 0 to 1."""

    @abstractmethod
    def validation_due(self, epochs_done: int | None) -> bool:
        """Whether to validate now: at the end of an epoch, `epochs_done` in all, or inside one (None)."""

    @abstractmethod
    def finished(self) -> bool:
        """Whether training must end after this step."""

    def affords_validation(self) -> bool:
        """Whether a last validation fits into what is left."""
        return True

    def validated(self, seconds: float) -> None:
        """Take note of a validation that has just ended and took `seconds`."""
        self._validation_seconds = seconds

    def state_dict(self) -> dict[str, float | None]:
        """Plain values from which `load_state_dict` goes on."""
        return {"elapsed": self.elapsed, "validation_seconds": self._validation_seconds}

    def load_state_dict(self, state: dict[str, float | None]) -> None:
        """Go on from a state; the time between saving it and the new start does not count."""
        self._origin -= state["elapsed"] or 0.0
        self._validation_seconds = state["validation_seconds"] or 0.0


class EpochPace(Pace):
    """A run of `epochs` epochs of `steps_per_epoch` optimizer steps that validates every `validate_every` epochs."""

    def __init__(self, started: float, epochs: int, steps_per_epoch: int, validate_every: int) -> None:
        super().__init__(started)
        self._epochs = epochs
        self._steps = epochs * steps_per_epoch
        self._validate_every = validate_every

    @override
    def progress(self, step: int) -> float:
        return step / self._steps

    @override
    def validation_due(self, epochs_done: int | None) -> bool:
        return epochs_done is not None and (epochs_done % self._validate_every == 0 or epochs_done == self._epochs)

    @override
    def finished(self) -> bool:
        return False  # the loop itself ends after its last epoch


class BudgetPace(Pace):
    """A run of `budget` seconds that reserves the time of its last validation as soon as it has measured one.

    Validations are `budget / validations` seconds apart, or further where they would exceed `VALIDATION_SHARE`.
    """

    def __init__(self, started: float, budget: float, validations: int) -> None:
        super().__init__(started)
        self._budget = budget
        self._validations = validations
        self._begin: float | None = None
        self._next_validation = 0.0
        self._spent = 0.0
        self._asked: float | None = None
        self._step_seconds = 0.0

    @override
    def progress(self, step: int) -> float:
        now = self.elapsed
        if self._begin is None:
            self._begin = now
            self._next_validation = now + self._interval
        length = max(self._deadline - self._begin, 1e-9)
        return min((now - self._begin) / length, 1.0)

    @override
    def validation_due(self, epochs_done: int | None) -> bool:
        now = self.elapsed
        affordable = self._spent + 2 * self._validation_seconds <= VALIDATION_SHARE * self._budget  # this and the last
        worthwhile = self._deadline - now > self._validation_seconds  # else the last one comes soon enough
        return epochs_done is None and now >= self._next_validation and affordable and worthwhile

    @override
    def finished(self) -> bool:
        now = self.elapsed
        if self._asked is not None:
            self._step_seconds = now - self._asked
        self._asked = now
        # One step more would miss the deadline by more than this one does.
        return now + self._step_seconds / 2 >= self._deadline

    @override
    def affords_validation(self) -> bool:
        return self.elapsed + self._validation_seconds <= 1.05 * self._budget

    @override
    def validated(self, seconds: float) -> None:
        super().validated(seconds)
        self._spent += seconds
        self._next_validation = self.elapsed + self._interval
        self._asked = None

    @override
    def state_dict(self) -> dict[str, float | None]:
        own = {"begin": self._begin, "next_validation": self._next_validation, "spent": self._spent}
        return super().state_dict() | own

    @override
    def load_state_dict(self, state: dict[str, float | None]) -> None:
        super().load_state_dict(state)
        self._begin = state["begin"]
        self._next_validation = state["next_validation"] or 0.0
        self._spent = state["spent"] or 0.0

    @property
    def _deadline(self) -> float:
        return self._budget - self._validation_seconds

    @property
    def _interval(self) -> float:
        training = self._budget - (self._begin or 0.0)
        return max(training / self._validations, self._validation_seconds / VALIDATION_SHARE)


class AgreedPace(Pace):
    """The pace of the first of several processes: its clock decides for all, so that they do the same at every step."""

    def __init__(self, pace: Pace, processes: Processes) -> None:
        self._pace = pace
        self._processes = processes

    @property
    @override
    def elapsed(self) -> float:
        return self._pace.elapsed

    @override
    def progress(self, step: int) -> float:
        return self._processes.number_of_first(self._pace.progress(step))

    @override
    def validation_due(self, epochs_done: int | None) -> bool:
        return bool(self._processes.number_of_first(self._pace.validation_due(epochs_done)))

    @override
    def finished(self) -> bool:
        return bool(self._processes.number_of_first(self._pace.finished()))

    @override
    def affords_validation(self) -> bool:
        return bool(self._processes.number_of_first(self._pace.affords_validation()))

    @override
    def validated(self, seconds: float) -> None:
        self._pace.validated(seconds)

    @override
    def state_dict(self) -> dict[str, float | None]:
        return self._pace.state_dict()

    @override
    def load_state_dict(self, state: dict[str, float | None]) -> None:
        self._pace.load_state_dict(state)
