"""How long `segkit check` takes for many images, and how much memory: 10,000 of 512 x 512 are wanted in 3 minutes.

    python -m benchmarks.check_speed

Images are JPEGs with palette PNG masks, written once into a temporary folder: some dozen scenes, each shifted by other
amounts, so that no two are equal. The check runs in a process of its own without the facts of an earlier one, then once
more with them. Memory is what this process takes at its peak beyond what importing takes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from segkit.data.cells import draw_scene
from segkit.data.image_io import write_mask
from segkit.data.synthetic import CLASSES

SCENES = 24
ALLOWED_SECONDS = 180

_CHECK = """
import json, resource, sys, time
import segkit.data.description, segkit.data.object_sizes
from segkit.data.opening import open_dataset
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
begin = time.perf_counter()
dataset = open_dataset(sys.argv[1])
segkit.data.description.describe_data(dataset, segkit.data.object_sizes.measure_objects(dataset))
seconds = time.perf_counter() - begin
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
processor = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([seconds, processor.ru_utime + processor.ru_stime, (peak - before) / 1024, len(dataset.records)]))
"""


def write_images(root: Path, count: int, size: int) -> None:
    """Images and masks cut from a few scenes at places of their own."""
    generator = np.random.default_rng(0)
    scenes = [draw_scene(np.random.default_rng(seed), size) for seed in range(min(SCENES, count))]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        scene = scenes[number % len(scenes)]
        shift = tuple(generator.integers(0, size, 2).tolist())
        image, mask = (
            np.roll(pixels, shift, axis=(0, 1))
            for pixels in (scene.image, np.array((0, *scene.kinds))[scene.instances])
        )
        colored = np.stack([image, image // 2 + number % 97, 255 - image], axis=-1).astype(np.uint8)
        Image.fromarray(colored).save(root / "images" / f"{number:05}.jpg", quality=90)
        write_mask(root / "masks" / f"{number:05}.png", mask.astype(np.uint8), CLASSES)


def check(root: Path, cache: Path) -> tuple[float, float, float, int]:
    """Seconds, seconds of the processors, MiB beyond the imports, and images of one check in its own process."""
    environment = {**os.environ, "SEGKIT_CACHE": str(cache)}
    command = [sys.executable, "-c", _CHECK, str(root)]
    ended = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    seconds, processors, memory, images = json.loads(ended.stdout)
    return seconds, processors, memory, images


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="how many (%(default)s)")
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder) / "data", Path(folder) / "cache"
        begin = time.perf_counter()
        write_images(root, options.images, options.size)
        print(f"{options.images} images written in {time.perf_counter() - begin:.0f} s", flush=True)
        print("| check | seconds | of the processors | MiB beyond the imports | images per second |")
        print("| --- | --- | --- | --- | --- |")
        for name in ("first", "again, nothing changed"):
            seconds, processors, memory, images = check(root, cache)
            rate = images / seconds
            print(f"| {name} | {seconds:.1f} | {processors:.1f} | {memory:.0f} | {rate:.0f} |", flush=True)
            if name == "first":
                whole = 10_000 / rate
                print(f"10,000 images at this rate: {whole:.0f} s, at most {ALLOWED_SECONDS} are wanted", flush=True)


if __name__ == "__main__":
    main()
