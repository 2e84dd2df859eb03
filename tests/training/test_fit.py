"""The loop: budget, validation, early stopping, errors, quiet."""

from __future__ import annotations

import csv
import io
import re
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from segkit.errors import ConfigError, SegkitError, UsageError
from segkit.training import TrainingConfig
from tests.training.tiny import overlap, run, tiny_loader, tiny_net

CONFIG = TrainingConfig(epochs=2, learning_rate=0.03, workers=0)


def slow_overlap(model: nn.Module) -> dict[str, float]:
    time.sleep(0.5)
    return overlap(model)


def test_a_budget_of_ten_seconds_is_kept(tmp_path: Path) -> None:
    started = time.monotonic() - 1.5  # reading the data took a while
    config = CONFIG.model_copy(update={"epochs": None, "budget_seconds": 10.0})
    result = run(tmp_path, config, loader=tiny_loader(delay=0.01), validate=slow_overlap, started=started)
    assert time.monotonic() - started == pytest.approx(10, rel=0.05)
    assert result.seconds == pytest.approx(10, rel=0.05)
    assert result.stopped == "budget"
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert int(rows[-1]["step"]) == result.steps, "the last thing is a validation"
    assert len(rows) * 0.5 <= 1.7
    assert float(rows[-1]["learning_rate"]) < 0.02 * 0.03, "the schedule follows the time to its end"


def test_the_learning_rate_follows_the_steps(tmp_path: Path) -> None:
    run(tmp_path, CONFIG.model_copy(update={"epochs": 4, "warmup": 0.5}))
    with (tmp_path / "metrics.csv").open() as file:
        rates = [float(row["learning_rate"]) for row in csv.DictReader(file)]
    half_cosine = [(1 + torch.cos(torch.tensor(torch.pi * (step / 28 - 0.5) / 0.5)).item()) / 2 for step in (20, 27)]
    assert rates == pytest.approx([0.03 * factor for factor in (6 / 14, 13 / 14, *half_cosine)], rel=1e-4)


def test_the_best_network_is_handed_on(tmp_path: Path) -> None:
    scores, kept = iter([0.2, 0.6, 0.4, 0.6, float("nan")]), []

    def validate(model: nn.Module) -> dict[str, float]:
        assert not any(module.training for module in model.modules())
        return {"score": next(scores)}

    def keep(model: nn.Module, scores: Mapping[str, float]) -> None:
        kept.append(scores["score"])

    result = run(tmp_path, CONFIG.model_copy(update={"epochs": 5}), validate=validate, on_best=keep)
    assert kept == [0.2, 0.6]
    assert (result.scores, result.best_epoch, result.stopped) == ({"score": 0.6}, 2, "epochs")


def test_what_is_handed_on_is_what_was_validated(tmp_path: Path) -> None:
    again: list[tuple[float, float]] = []

    def keep(model: nn.Module, scores: Mapping[str, float]) -> None:
        again.append((scores["score"], overlap(model)["score"]))

    model = tiny_net()
    result = run(tmp_path, CONFIG, model, on_best=keep)
    assert again
    assert all(first == second for first, second in again)
    if result.best_epoch == 2:
        assert overlap(model.eval())["score"] == result.scores["score"], "the network is left with its averages"


def test_parts_kept_in_evaluation_stay_so(tmp_path: Path) -> None:
    class Frozen(nn.Module):
        """A network whose batch norm sets itself back to evaluation, as frozen backbones do."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = tiny_net().layers

        def train(self, mode: bool = True) -> Frozen:
            super().train(mode)
            self.layers[1].eval()
            return self

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            assert not self.layers[1].training
            return {"segment": self.layers(images)}

    model = Frozen()
    run(tmp_path, CONFIG, model)
    assert model.layers[1].num_batches_tracked == 0


def test_early_stopping(tmp_path: Path) -> None:
    result = run(tmp_path, CONFIG.model_copy(update={"epochs": 50, "patience": 3}), validate=lambda _: {"score": 0.5})
    assert (result.steps, result.stopped, result.best_epoch) == (4 * 7, "patience", 1)


def test_validation_every_other_epoch(tmp_path: Path) -> None:
    run(tmp_path, CONFIG.model_copy(update={"epochs": 5, "validate_every": 2}))
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["2", "4", "5"]


def test_accumulated_gradients_are_those_of_the_large_batch(tmp_path: Path) -> None:
    class Linear(nn.Module):
        """No batch norm and no dropout, so that batches can be cut."""

        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"segment": self.layer(images)}

    large, small = Linear(), Linear()
    settings = CONFIG.model_copy(update={"loss": "ce", "precision": "fp32", "clip_norm": None})
    run(tmp_path / "large", settings.model_copy(update={"batch_size": 4}), large)
    run(tmp_path / "small", settings.model_copy(update={"batch_size": 2, "accumulate": 2}), small)
    for one, other in zip(large.parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_loss_that_is_no_number_is_named(tmp_path: Path) -> None:
    class Diverging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = tiny_net().layers
            self.calls = 0

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            self.calls += self.training
            return {"segment": self.layers(images) * (float("nan") if self.calls == 10 else 1.0)}

    message = (
        r"the loss is no longer a number at epoch 2, step 10 \(learning rate .*\); try a smaller '--learning-rate'"
    )
    with pytest.raises(SegkitError, match=message):
        run(tmp_path, CONFIG, Diverging())
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 7, "the checkpoint is the one before"


def test_neither_epochs_nor_budget(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither epochs nor a budget was given; use '--epochs 50' or '--budget 10m'"):
        run(tmp_path, TrainingConfig(workers=0))


def test_epochs_and_budget() -> None:
    with pytest.raises(ConfigError, match="epochs and budget_seconds both end the run; give one of them"):
        TrainingConfig.parse({"epochs": 3, "budget_seconds": 60})


def test_a_loader_that_cannot_be_resumed_is_refused(tmp_path: Path) -> None:
    loader = torch.utils.data.DataLoader(tiny_loader().dataset, batch_size=4, sampler=range(8))
    with pytest.raises(TypeError, match="sampler needs the attributes epoch and start; range has not both"):
        run(tmp_path, CONFIG, loader=loader)


def test_one_line_per_validation_and_nothing_from_lightning(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = io.StringIO()
    with warnings.catch_warnings(), caplog.at_level("INFO"):
        warnings.simplefilter("error")
        run(tmp_path / "run", CONFIG, console=Console(file=text))
    lines = text.getvalue().splitlines()
    words = r"loss \d\.\d{4}  score \d\.\d{4}  [\d.]+ images/s  waiting for data \d+%( \(best\))?"
    assert len(lines) == 2
    for epoch, printed in enumerate(lines, start=1):
        assert re.fullmatch(rf"epoch {epoch}/2  step \d+  \d+ s  {words}", printed)
    assert capfd.readouterr() == ("", "")
    assert not [record for record in caplog.records if record.name.startswith("lightning")]
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()} == {
        "run/metrics.csv",
        "run/checkpoints/last.ckpt",
    }


def test_the_bar_on_a_terminal(tmp_path: Path) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=160)
    run(tmp_path, CONFIG.model_copy(update={"epochs": 4}), loader=tiny_loader(delay=0.01), console=console)
    assert re.search(
        r"training .*%.*epoch \d/4  loss \d\.\d{4}  score \d\.\d{4}  [\d.]+ images/s  waiting for data \d+%",
        text.getvalue(),
    )


def test_a_spent_budget_still_leaves_a_model(tmp_path: Path) -> None:
    """Reading the data may take longer than the budget: one step and one validation are done all the same."""
    kept: list[Mapping[str, float]] = []
    result = run(
        tmp_path,
        TrainingConfig(budget_seconds=1, workers=0),
        started=time.monotonic() - 60,
        on_best=lambda _, scores: kept.append(scores),
    )
    assert result.stopped == "budget"
    assert len(kept) == 1
