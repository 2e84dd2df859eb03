"""Averaged weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segkit.training import TrainingConfig
from segkit.training.ema import WeightAverage, ema_decay
from tests.training.tiny import overlap, run, tiny_net


@pytest.mark.parametrize(
    ("updates", "decay"), [(0, 0.1), (1, 2 / 11), (8, 0.5), (439, 440 / 449), (440, 0.98), (9999, 0.98)]
)
def test_decay_warms_up(updates: int, decay: float) -> None:
    assert ema_decay(0.98, updates) == pytest.approx(decay)


class Recorder(nn.Module):
    """A network that keeps its own weights of every forward pass in training."""

    def __init__(self) -> None:
        super().__init__()
        self.net = tiny_net()
        self.seen: list[dict[str, Tensor]] = []

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if self.training:
            self.seen.append({name: value.detach().clone() for name, value in self.net.named_parameters()})
        return dict(self.net(images))


def test_averages_follow_the_formula_and_live_weights_come_back(tmp_path: Path) -> None:
    model, averages = Recorder(), []

    def validate(validated: nn.Module) -> dict[str, float]:
        averages.append({name: value.detach().clone() for name, value in validated.named_parameters()})
        return {"score": 0.0}

    config = TrainingConfig(epochs=2, batch_size=4, learning_rate=0.01, precision="fp32", workers=0)
    run(tmp_path, config, model, validate=validate)
    live = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    name = "layers.4.weight"
    weights = [seen[name] for seen in model.seen] + [live[f"model.net.{name}"]]
    expected, at_validation = weights[0].double(), []
    for updates, weight in enumerate(weights[1:]):
        decay = min(0.98, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * weight.double()
        if (updates + 1) % 7 == 0:
            at_validation.append(expected)
    for average, wanted in zip(averages, at_validation, strict=True):
        torch.testing.assert_close(average[f"net.{name}"].double(), wanted, rtol=1e-5, atol=1e-7)
    assert not torch.equal(averages[-1][f"net.{name}"], weights[-1])


def test_swapping_is_exact_and_includes_the_statistics_of_batch_norm() -> None:
    model, average = tiny_net(), WeightAverage(0.98)
    module = nn.Module()
    module.model = model
    average.on_fit_start(None, module)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for value in model.state_dict().values():
            value += 1
    changed = {name: value.clone() for name, value in model.state_dict().items()}
    with average.in_place():
        inside = {name: value.clone() for name, value in model.state_dict().items()}
    for name in before:
        counter = name.endswith("num_batches_tracked")
        assert torch.equal(inside[name], changed[name] if counter else before[name])
        assert torch.equal(model.state_dict()[name], changed[name])


def test_weights_come_back_when_validation_fails() -> None:
    model, average = tiny_net(), WeightAverage(0.98)
    module = nn.Module()
    module.model = model
    average.on_fit_start(None, module)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    live = next(model.parameters()).clone()
    with pytest.raises(RuntimeError, match="broken"), average.in_place():
        raise RuntimeError("broken")
    assert torch.equal(next(model.parameters()), live)


def test_a_short_run_is_not_judged_by_its_initial_weights(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, learning_rate=0.03, ema_decay=0.98, workers=0)
    averaged = run(tmp_path, config).scores["score"]
    assert averaged > 0.8
    # What the warm-up prevents: with the constant decay, 7 steps leave 0.98^7 = 87 % of the initial weights.
    initial, trained = tiny_net(), tiny_net()
    run(tmp_path / "without", config.model_copy(update={"ema_decay": 0.0}), trained)
    with torch.no_grad():
        for start, end in zip(initial.parameters(), trained.parameters(), strict=True):
            start.lerp_(end, 1 - 0.98**7)
    assert overlap(initial.eval())["score"] < averaged - 0.1


def test_without_averaging_the_network_itself_is_validated(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    def validate(model: nn.Module) -> dict[str, float]:
        seen.append(next(model.parameters()).detach().clone())
        return {"score": 0.0}

    run(tmp_path, TrainingConfig(epochs=1, ema_decay=0.0, workers=0), validate=validate)
    live = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(seen[0], live["model.layers.0.weight"])
