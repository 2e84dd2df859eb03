"""Runs counted in epochs and in time, on a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from segkit.training import pace
from segkit.training.pace import BudgetPace, EpochPace


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


@dataclass
class Outcome:
    ended: float
    validations: list[float]
    steps: int
    progress: list[float]


def simulate(clock: Clock, budget: BudgetPace, step: float, validation: float) -> Outcome:
    """Run the loop as the callbacks do; times are those since the start."""
    start, outcome, last_validated = clock.now, Outcome(0, [], 0, []), -1
    while True:
        outcome.progress.append(budget.progress(outcome.steps))
        clock.now += step
        outcome.steps += 1
        finished = budget.finished()
        if finished and (last_validated == outcome.steps or not budget.affords_validation()):
            break
        if finished or budget.validation_due(None):
            clock.now += validation
            budget.validated(validation)
            outcome.validations.append(clock.now - start)
            last_validated = outcome.steps
        if finished:
            break
    outcome.ended = clock.now - start
    return outcome


@pytest.mark.parametrize("validation", [0.1, 2.0, 6.0, 20.0])
@pytest.mark.parametrize("step", [0.05, 0.7, 4.0])
def test_budget_is_kept_to_five_percent(clock: Clock, step: float, validation: float) -> None:
    outcome = simulate(clock, BudgetPace(clock.now, 100.0, validations=8), step, validation)
    assert outcome.ended == pytest.approx(100, abs=5)
    assert outcome.validations[-1] == pytest.approx(outcome.ended), "the last thing in a run is a validation"


def test_fast_validations_are_as_many_as_asked_for(clock: Clock) -> None:
    assert len(simulate(clock, BudgetPace(clock.now, 100.0, validations=8), 0.1, 0.1).validations) == 8


@pytest.mark.parametrize("validation", [2.0, 4.0, 7.0])
def test_slow_validations_take_a_limited_share(clock: Clock, validation: float) -> None:
    outcome = simulate(clock, BudgetPace(clock.now, 100.0, validations=8), 0.1, validation)
    assert len(outcome.validations) * validation <= 17


def test_a_very_slow_validation_is_made_once_more_and_only_where_it_fits(clock: Clock) -> None:
    assert len(simulate(clock, BudgetPace(clock.now, 100.0, validations=8), 0.1, 40.0).validations) == 2
    outcome = simulate(clock, BudgetPace(clock.now, 100.0, validations=8), 0.1, 70.0)
    assert len(outcome.validations) == 1
    assert outcome.ended < 105


def test_progress_reaches_the_end_with_the_last_step(clock: Clock) -> None:
    budget = BudgetPace(clock.now, 100.0, validations=8)
    clock.now += 20.0  # reading the data counts as time, not as progress
    progress = simulate(clock, budget, 0.1, 3.0).progress
    assert progress[0] == 0
    # Only the first validation, which shortens the time to train in, may move it: forward, as the end comes nearer.
    assert progress == sorted(progress)
    assert progress[-1] > 0.98


def test_budget_goes_on_where_it_was(clock: Clock) -> None:
    first = BudgetPace(clock.now, 100.0, validations=8)
    first.progress(0)
    clock.now += 60.0
    first.validated(3.0)
    state, progress = first.state_dict(), first.progress(1)
    clock.now += 10_000  # the computer was off
    second = BudgetPace(clock.now, 100.0, validations=8)
    second.load_state_dict(state)
    assert second.elapsed == pytest.approx(60)
    assert second.progress(1) == pytest.approx(progress)
    assert not second.finished()
    clock.now += 37.5
    assert second.finished()


def test_epochs(clock: Clock) -> None:
    epochs = EpochPace(clock.now, epochs=5, steps_per_epoch=10, validate_every=2)
    assert [epochs.progress(step) for step in (0, 25, 50)] == [0, 0.5, 1]
    assert [done for done in range(1, 6) if epochs.validation_due(done)] == [2, 4, 5]
    assert not epochs.validation_due(None)
    assert not epochs.finished()
