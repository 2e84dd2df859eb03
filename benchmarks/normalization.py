"""Normalizations beside one another at small batches: accuracy on MNIST after equally many images.

    python -m benchmarks.normalization [--images 6000] [--epochs 1] [--seeds 3] [--threads 1]

Three convolutions of 64 channels, so that group normalization's 32 groups have two channels each, on images whose
blocks of 2 x 2 pixels become channels first. SGD with one cycle;
the learning rate grows with the batch (Wu and He 2018, section 4.1: linear scaling). Accuracy is that on the last
10,000 training images.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean

import torch

from benchmarks._mnist import VALIDATION, Digits, Recipe, arguments, error_rate, load, train
from segkit.models.config import Option
from segkit.models.factory import create_model

STYLES: dict[str, Mapping[str, Option]] = {
    "none": {"norm": "none"},
    "batch": {"norm": "batch"},
    "layer": {"norm": "layer"},
    "instance": {"norm": "instance"},
    "group": {"norm": "group"},
    "weight standardization, group": {"norm": "group", "weight_standardization": True},
}
BATCH_SIZES = (2, 8, 32)
NETWORK: dict[str, Option] = {"pattern": "[64] P [64] P [64]", "stem_stride": 2}
LEARNING_RATE = 0.1
"""At a batch of 32."""


def accuracy(
    style: Mapping[str, Option], batch_size: int, data: Digits, validation: Digits, epochs: int, seed: int
) -> float:
    """Share of the validation images classified right after training on `data`."""
    torch.manual_seed(seed)
    network = create_model(
        "plain", task="classify", num_classes=10, in_channels=1, backbone_options={**NETWORK, **style}
    ).to(memory_format=torch.channels_last)
    recipe = Recipe(epochs=epochs, batch_size=batch_size, learning_rate=LEARNING_RATE * batch_size / BATCH_SIZES[-1])
    for _ in train(network, data, recipe, seed):
        pass
    return 1 - error_rate(network, validation)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=6_000, help="training images, the first (%(default)s)")
    parser.add_argument("--epochs", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    everything, _ = load(options.data, border=2)
    most = len(everything) - VALIDATION
    if not BATCH_SIZES[-1] <= options.images <= most:
        parser.error(f"--images {options.images}: {BATCH_SIZES[-1]} to {most:,}; the other images validate")
    data, validation = everything[: options.images], everything[-VALIDATION:]
    print(f"accuracy in %, mean of {options.seeds} seeds (smallest to largest)\n")
    print(f"| normalization | {' | '.join(f'batch {size}' for size in BATCH_SIZES)} |")
    print("| --- " * (1 + len(BATCH_SIZES)) + "|")
    for name, style in STYLES.items():
        cells = []
        for size in BATCH_SIZES:
            found = [
                100 * accuracy(style, size, data, validation, options.epochs, seed) for seed in range(options.seeds)
            ]
            cells.append(f"{mean(found):.2f} ({min(found):.2f} to {max(found):.2f})")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
