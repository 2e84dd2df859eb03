"""Predicts the mask of a TIFF file in a process of its own, with arithmetic in the network's place and no torch.

    python -m tests.inference.large_run IMAGE OUT [milliseconds per tile]

Prints what is told, the formula's bytes, and by how many the process grew over those of a single tile.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.inference import image_parts
from segkit.inference.image_parts import open_image
from segkit.inference.large_memory import expected_bytes
from segkit.inference.predictor import Predictor
from segkit.inference.writer import write_predictions
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap


class Ramp:
    """Says of a pixel how near it is to a value of each class, and a little of where in the tile it lies."""

    description = "ramp"

    def __init__(self, classes: int, seconds: float = 0.0) -> None:
        self.classes, self.seconds = classes, seconds

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        time.sleep(self.seconds)
        gray, slope = images[:, :1], np.linspace(0, 0.01, images.shape[3], dtype=np.float32)
        levels = np.linspace(-1, 1, self.classes, dtype=np.float32)[None, :, None, None]
        return {"segment": -np.abs(gray + slope - levels)}


def ramp_predictor(classes: int = 3, seconds: float = 0.0, tile: int = 256, normalization: str = "8bit") -> Predictor:
    low, high = (-2.0, 2.0) if normalization == "zscore" else (0.0, 255.0)
    given = {"channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3, "low": low, "high": high}
    pipeline = Pipeline.parse(
        {**given, "tile": tile, "stride_multiple": 16, "normalization": normalization, "whole_limit": 1}
    )
    names = tuple(f"class {index}" for index in range(classes))
    return Predictor(Ramp(classes, seconds), pipeline, {"segment": ClassMap(names)})


def peak() -> int:
    """Bytes of the process at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    image, out = Path(sys.argv[1]), Path(sys.argv[2])
    image_parts.LARGE = 1
    predictor = ramp_predictor(seconds=float(sys.argv[3]) / 1000 if len(sys.argv) > 3 else 0.0)
    with open_image([image]) as opened:
        expected = expected_bytes(predictor, opened)
    predictor.engine.run(np.zeros((1, 3, predictor.pipeline.tile, predictor.pipeline.tile), np.float32))
    before = peak()
    summary = write_predictions(predictor, [image], out, tell=lambda line: print(line, flush=True))
    assert not summary.errors, summary.errors
    print(expected, peak() - before)


if __name__ == "__main__":
    main()
