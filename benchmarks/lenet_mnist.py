"""LeNet-5 on MNIST, plain and with distortions, beside the errors of its paper.

    python -m benchmarks.lenet_mnist [--validate] [--seeds 3] [--threads 1]

Choices are made with `--validate`, which trains on the first 50,000 training images and prints the error on the last
10,000. Without it each run trains on all 60,000 and looks at the 10,000 test images once, at its end.

Published (LeCun et al. 1998, figure 9): 0.95 % plain, 0.8 % with distortions.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import torch

from benchmarks._mnist import (
    VALIDATION,
    Digits,
    Recipe,
    Stopwatch,
    arguments,
    distort,
    error_rate,
    load,
    train,
)
from segkit.models.factory import create_model
from segkit.models.model import Model

PUBLISHED = {"plain": 0.95, "distorted": 0.80}
RECIPES = {"plain": Recipe(learning_rate=0.1, weight_decay=5e-4), "distorted": Recipe(augment=distort)}
"""Weight decay keeps a network from learning its images by heart; distortions do that too, and better without it."""


def train_lenet5(data: Digits, recipe: Recipe, seed: int) -> Model:
    """Train one LeNet-5 from its initial weights to the end of the recipe."""
    torch.manual_seed(seed)
    network = create_model("lenet5", task="classify", num_classes=10, in_channels=1)
    network.to(memory_format=torch.channels_last)
    for _ in train(network, data, recipe, seed):
        pass
    return network


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--validate", action="store_true", help="train on 50,000, print the error on the other 10,000")
    parser.add_argument("--only", choices=list(PUBLISHED), help="one of the two")
    for setting, type_ in (("epochs", int), ("learning_rate", float), ("weight_decay", float)):
        parser.add_argument(f"--{setting.replace('_', '-')}", type=type_, help="instead of the recipe's")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data, test = load(options.data, border=2)
    if options.validate:
        data, test = data[:-VALIDATION], data[-VALIDATION:]
    what = "validation" if options.validate else "test"
    print(f"| {len(data):,} training images | seed | {what} error % | minutes |\n| --- | --- | --- | --- |")
    given = {name: getattr(options, name) for name in ("epochs", "learning_rate", "weight_decay")}
    changes = {name: value for name, value in given.items() if value is not None}
    for name, published in PUBLISHED.items():
        if options.only not in (None, name):
            continue
        errors = []
        for seed in range(options.seeds):
            watch = Stopwatch()
            network = train_lenet5(data, replace(RECIPES[name], **changes), seed)
            errors.append(100 * error_rate(network, test))
            print(f"| {name} | {seed} | {errors[-1]:.2f} | {watch.seconds / 60:.1f} |", flush=True)
        print(f"| {name} | mean | {mean(errors):.2f} (published {published:.2f}) | |", flush=True)


if __name__ == "__main__":
    main()
