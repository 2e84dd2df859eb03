"""A 5 x 5 convolution of 14 x 14 x 480 maps to 48, with and without a 1 x 1 reduction to 16 in front.

    python -m benchmarks.one_by_one

The example with which courses explain the Inception module (Szegedy et al. 2014, section 4): 576 K weights and 112.9 M
multiply-adds against 26.88 K and 5.3 M. Prints a table of counted weights and multiply-adds and of measured time.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import nn

from segkit.models.complexity import measure_complexity

SIDE, CHANNELS, REDUCED, FILTERS = 14, 480, 16, 48


def networks() -> dict[str, nn.Module]:
    """Both ways, without biases as in the example."""
    direct = nn.Conv2d(CHANNELS, FILTERS, 5, padding=2, bias=False)
    reduction = nn.Conv2d(CHANNELS, REDUCED, 1, bias=False)
    return {
        "5 x 5": nn.Sequential(direct),
        "1 x 1, then 5 x 5": nn.Sequential(reduction, nn.Conv2d(REDUCED, FILTERS, 5, padding=2, bias=False)),
    }


@torch.inference_mode()
def milliseconds(network: nn.Module, batch: int, repeats: int) -> float:
    """The least time of one forward pass per image: the others were disturbed."""
    maps = torch.randn(batch, CHANNELS, SIDE, SIDE)
    times = []
    for _ in range(repeats + 3):
        begin = time.perf_counter()
        network(maps)
        times.append(time.perf_counter() - begin)
    return 1000 * min(times[3:]) / batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16, help="images per pass (%(default)s)")
    parser.add_argument("--repeats", type=int, default=50, help="passes measured (%(default)s)")
    options = parser.parse_args()
    published = {"5 x 5": ("576 K", "112.9 M"), "1 x 1, then 5 x 5": ("26.88 K", "5.3 M")}
    print("| layers | weights | published | multiply-adds | published | ms per image |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, network in networks().items():
        counted = measure_complexity(network, CHANNELS, (SIDE, SIDE))
        weights, products = published[name]
        taken = milliseconds(network, options.batch, options.repeats)
        print(
            f"| {name} | {counted.parameters:,} | {weights} | {counted.multiply_adds:,} | {products} | {taken:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
