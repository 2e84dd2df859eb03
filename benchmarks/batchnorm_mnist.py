"""What batch normalization does to a fully connected network on MNIST: accuracy by iteration, and its price in time.

    python -m benchmarks.batchnorm_mnist [--iterations 10000] [--seeds 3] [--threads 1]

Three hidden layers of 100 units, batches of 60, SGD with a constant learning rate of 0.01, weights drawn from
N(0, 0.05^2): the network of Ioffe and Szegedy 2015, section 4.1, there with sigmoids alone. Accuracy is that on the
last 10,000 training images, the others train. Published for the same setting: 510 batches/s without batch
normalization, 270 with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean
from typing import Literal

import torch
from torch import nn

from benchmarks._mnist import VALIDATION, Digits, Recipe, Stopwatch, arguments, error_rate, load, train

ActivationName = Literal["relu", "sigmoid"]

ACTIVATIONS: tuple[ActivationName, ...] = ("relu", "sigmoid")
HIDDEN = 100
SHOWN = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
"""Iterations whose accuracy is printed."""

EVERY = 100
"""Iterations between two measurements, which find the iteration that reaches a goal."""

GOAL = 0.90


@dataclass(frozen=True)
class Curve:
    """Accuracy by iteration, and the training steps done per second, measurements left out."""

    accuracy: Mapping[int, float]
    batches_per_second: float

    @property
    def iterations_to_goal(self) -> int | None:
        """The first measured iteration at the goal, None where it was not reached."""
        return next((iteration for iteration, reached in self.accuracy.items() if reached >= GOAL), None)


def create_network(activation: ActivationName, normalized: bool, inputs: int = 28 * 28) -> nn.Sequential:
    """Three hidden layers and the logits; a normalized layer has no bias, batch normalization's shift replaces it."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before in (inputs, HIDDEN, HIDDEN):
        layers.append(nn.Linear(before, HIDDEN, bias=not normalized))
        if normalized:
            layers.append(nn.BatchNorm1d(HIDDEN))
        layers.append(nn.ReLU() if activation == "relu" else nn.Sigmoid())
    layers.append(nn.Linear(HIDDEN, 10))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.05)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def measure(
    activation: ActivationName, normalized: bool, data: Digits, validation: Digits, iterations: int, seed: int
) -> Curve:
    """Train one network and follow its accuracy."""
    torch.manual_seed(seed)
    network = create_network(activation, normalized, inputs=data.images[0].numel())
    recipe = Recipe(
        epochs=-(-iterations // (len(data) // 60)), batch_size=60, learning_rate=0.01, momentum=0.0, one_cycle=False
    )
    accuracy: dict[int, float] = {}
    seconds, watch = 0.0, Stopwatch()
    for iteration, _ in train(network, data, recipe, seed):
        if iteration % EVERY == 0:
            seconds += watch.seconds
            accuracy[iteration] = 1 - error_rate(network, validation)
            watch = Stopwatch()
        if iteration == iterations:
            break
    return Curve(accuracy, max(accuracy) / seconds)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--iterations", type=int, default=10_000)
    options = parser.parse_args()
    if options.iterations < EVERY:
        parser.error(f"--iterations {options.iterations}: accuracy is measured every {EVERY}; take at least as many")
    torch.set_num_threads(options.threads)
    everything, _ = load(options.data)
    data, validation = everything[:-VALIDATION], everything[-VALIDATION:]
    shown = [iteration for iteration in SHOWN if iteration <= options.iterations]
    print(f"accuracy in %, mean of {options.seeds} seeds\n")
    print(f"| network | {' | '.join(map(str, shown))} | iterations to {GOAL:.0%} (each seed) | batches/s |")
    print("| --- " * (len(shown) + 3) + "|")
    for activation in ACTIVATIONS:
        for normalized in (False, True):
            curves = [
                measure(activation, normalized, data, validation, options.iterations, seed)
                for seed in range(options.seeds)
            ]
            cells = [f"{100 * mean(curve.accuracy[iteration] for curve in curves):.1f}" for iteration in shown]
            goals = ", ".join(str(curve.iterations_to_goal or "never") for curve in curves)
            speed = f"{mean(curve.batches_per_second for curve in curves):.0f}"
            name = f"{activation}, batch normalization" if normalized else activation
            print(f"| {name} | {' | '.join(cells)} | {goals} | {speed} |", flush=True)


if __name__ == "__main__":
    main()
