"""Iterations that a convolutional network of four layers needs to a fixed training error, with ReLU and with tanh.

    python -m benchmarks.relu_tanh [--error 0.02] [--seeds 3] [--threads 1]

The point of Krizhevsky et al. 2012, figure 1 (there on CIFAR-10: 25 % training error, six times sooner with ReLU), on
MNIST. As there, each activation has the learning rate that makes it fastest, and nothing is regularized. The training
error is that on the first 2,000 images.
"""

from __future__ import annotations

from statistics import mean
from typing import Literal

import torch

from benchmarks._mnist import Digits, Recipe, arguments, error_rate, load, train
from segkit.models.config import Option
from segkit.models.factory import create_model

ActivationName = Literal["relu", "tanh"]

ACTIVATIONS: tuple[ActivationName, ...] = ("relu", "tanh")
LEARNING_RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
EVERY = 20
MEASURED = 2_000
OPTIONS: dict[str, Option] = {"pattern": "[8] P [16] P F64", "norm": "none", "image_size": 28}
"""Two convolutions, each with a pool, and two fully connected layers."""


def iterations_to(
    error: float,
    activation: ActivationName,
    learning_rate: float,
    data: Digits,
    seed: int,
    limit: int,
) -> int | None:
    """The first iteration measured (every twentieth) whose training error is `error` or less, None within `limit`."""
    torch.manual_seed(seed)
    network = create_model(
        "plain", task="classify", num_classes=10, in_channels=1, backbone_options={**OPTIONS, "activation": activation}
    ).to(memory_format=torch.channels_last)
    batch_size = min(128, len(data))
    epochs = -(-limit // (len(data) // batch_size))
    recipe = Recipe(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, one_cycle=False)
    for iteration, loss in train(network, data, recipe, seed):
        if iteration > limit or not loss.isfinite():
            return None
        if iteration % EVERY == 0 and error_rate(network, data[:MEASURED]) <= error:
            return iteration
    return None


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--error", type=float, default=0.02, help="training error to reach (%(default)s)")
    parser.add_argument("--limit", type=int, default=1_000, help="most iterations of a run (%(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data, _ = load(options.data)
    print(f"iterations to {options.error:.1%} training error, mean of {options.seeds} seeds (each)\n")
    print("| learning rate | relu | tanh |\n| --- | --- | --- |")
    fastest: dict[str, float] = {}
    for learning_rate in LEARNING_RATES:
        cells = []
        for activation in ACTIVATIONS:
            found = [
                iterations_to(options.error, activation, learning_rate, data, seed, options.limit)
                for seed in range(options.seeds)
            ]
            reached = [iterations for iterations in found if iterations is not None]
            each = ", ".join(str(iterations or "never") for iterations in found)
            if len(reached) == len(found):
                fastest[activation] = min(mean(reached), fastest.get(activation, float("inf")))
                each = f"{mean(reached):.0f} ({each})"
            cells.append(each)
        print(f"| {learning_rate:g} | {' | '.join(cells)} |", flush=True)
    if len(fastest) == len(ACTIVATIONS):
        print(f"| fastest | {fastest['relu']:.0f} | {fastest['tanh']:.0f} |")
        print(f"\ntanh needs {fastest['tanh'] / fastest['relu']:.1f} times as many")


if __name__ == "__main__":
    main()
