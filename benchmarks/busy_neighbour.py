"""What a busy program beside it costs a training step, by the way torch's threads wait for each other.

    python -m benchmarks.busy_neighbour

The default network on the CPU. The ways alternate, each in a process of its own; the neighbour is one endless loop.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from statistics import median

POLICIES = ("ACTIVE", "PASSIVE")
_MEASURE = """
import time
import torch
from segkit.models import create_model
options = {"width": 32, "stem_stride": 2}
model = create_model(num_classes=2, in_channels=1, backbone_options=options, decoder_options={"out_stride": 2})
model = model.to(memory_format=torch.channels_last)
images = torch.randn(4, 1, 256, 256).contiguous(memory_format=torch.channels_last)
times = []
for _ in range(9):
    begin = time.perf_counter()
    model(images)["segment"].mean().backward()
    times.append(time.perf_counter() - begin)
print(sorted(times[1:])[4])
"""
"""Prints the median seconds of a step."""


def seconds(policy: str) -> float:
    """Median seconds of a training step of four crops of 256 x 256 in a fresh process."""
    # GOMP_SPINCOUNT is what libgomp takes from the policy; a value of its own would win over it.
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    environment["OMP_WAIT_POLICY"] = policy
    return float(subprocess.check_output([sys.executable, "-c", _MEASURE], env=environment, text=True))


def measure(rounds: int) -> dict[str, float]:
    """Median seconds of a step by policy, the policies alternating."""
    times: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for _ in range(rounds):
        for policy in POLICIES:
            times[policy].append(seconds(policy))
    return {policy: median(values) for policy, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    options = parser.parse_args()
    print("| beside it | ACTIVE, s per step | PASSIVE, s per step | ratio |\n| --- | --- | --- | --- |")
    alone = measure(options.rounds)
    print(_row("nothing", alone), flush=True)
    neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        print(_row("one busy program", measure(options.rounds)))
    finally:
        neighbour.kill()


def _row(label: str, times: dict[str, float]) -> str:
    active, passive = (times[policy] for policy in POLICIES)
    return f"| {label} | {active:.2f} | {passive:.2f} | {active / passive:.2f} |"


if __name__ == "__main__":
    main()
