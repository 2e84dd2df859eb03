"""What opening a large data set costs: memory over the import and time, with the check's results cached.

    python -m benchmarks.data_memory

Small images are made in a temporary folder; each measurement is a process of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from segkit.data.image_io import write_image, write_mask
from segkit.structures import ClassMap

_MEASURE = """
import resource, sys, time
from segkit.data.opening import open_dataset
from segkit.data.loader import training_loader
imported, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
dataset = open_dataset(sys.argv[1])
seconds, peak = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(dataset.records), seconds, (peak - imported) / 1024)
"""
"""Prints images, seconds and MiB; the unit of ru_maxrss is KiB on Linux."""


def write_images(root: Path, count: int, side: int) -> None:
    """`count` images of noise, each with a mask of two classes."""
    classes = ClassMap(("background", "object"))
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        image = generator.integers(0, 256, (side, side), np.uint8)
        write_image(root / "images" / f"{index:06d}.png", image)
        write_mask(root / "masks" / f"{index:06d}.png", (image > 127).astype(np.uint8), classes)


def measure(root: Path, cache: Path) -> tuple[int, float, float]:
    """Images, seconds and MiB over the import of opening the data set in a fresh process."""
    command = [sys.executable, "-c", _MEASURE, str(root)]
    environment = {**os.environ, "SEGKIT_CACHE": str(cache)}
    images, seconds, memory = subprocess.check_output(command, env=environment, text=True).split()
    return int(images), float(seconds), float(memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="image and mask files together (%(default)s)")
    parser.add_argument("--side", type=int, default=64, help="height and width of the images (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        write_images(root, options.files // 2, options.side)
        print("| check | images | seconds | MiB over import |\n| --- | --- | --- | --- |")
        for state in ("first", "cached"):
            images, seconds, memory = measure(root, cache)
            print(f"| {state} | {images} | {seconds:.1f} | {memory:.0f} |", flush=True)
    print("wanted with the cache: at most 10 s and 300 MiB")


if __name__ == "__main__":
    main()
