"""Nuclei (Data Science Bowl 2018, a fixed split): objects after equal minutes, by borders and by connected components.

The yardstick is a U-Net of foreground alone, trained by segkit in the same time, whose connected components are the
objects. `python -m benchmarks.nuclei --minutes 10 --seeds 1`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import segkit
from benchmarks._data import find
from benchmarks._side_by_side import arguments, table
from segkit.data.config import DataConfig
from segkit.data.opening import open_dataset
from segkit.evaluation.evaluate import evaluate
from segkit.inference.loading import load
from segkit.inference.predictor import Predictor
from segkit.inference.results import InstanceResult
from segkit.structures import ClassMap, TaskName

SPLIT = Path(__file__).with_name("nuclei_split.csv")
SCORES = ("ap50", "panoptic_quality", "count_error")
SMALLEST = 4
"""Pixels of an object, as segkit's own rule has it."""


class Components:
    """The connected components of a predicted foreground as objects."""

    def __init__(self, predictor: Predictor, classes: ClassMap) -> None:
        self.predictor = predictor
        self.heads: Mapping[TaskName, ClassMap] = {"instances": classes}
        self.threshold = 0.5

    def predict(self, image: NDArray[Any]) -> InstanceResult:
        """The objects in one image of stored values (H, W, C)."""
        foreground = (self.predictor.segment(image).mask > 0).astype(np.uint8)
        count, parts, statistics, _ = cv2.connectedComponentsWithStats(foreground, connectivity=4)
        kept = np.flatnonzero(statistics[:, cv2.CC_STAT_AREA] >= SMALLEST)[1:]
        renamed = np.zeros(count, np.int32)
        renamed[kept] = np.arange(1, len(kept) + 1)
        labels = np.ones(len(kept), np.int64)
        return InstanceResult(renamed[parts], labels, np.ones(len(kept), np.float32), self.heads["instances"])


def main() -> None:
    """Train both once per seed and print one row for each."""
    options = arguments(__doc__, minutes=10, seeds=1)
    data = find("nuclei_dsb2018", options.data)
    dataset = open_dataset(data, DataConfig(channels="rgb", split=SPLIT), task="instances")
    dataset.require_usable()
    test, budget = dataset.split("test"), f"{60 * options.minutes:g}s"
    rows: dict[str, list[float]] = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        borders = segkit.train(data, task="instances", channels="rgb", split=SPLIT, budget=budget, seed=seed)
        plain = segkit.train(data, map={"other": 1}, channels="rgb", split=SPLIT, budget=budget, seed=seed)
        for name, found in (
            ("segkit --task instances", evaluate(load(borders.model_file), test, dataset.classes)),
            (
                "foreground, components",
                evaluate(Components(load(plain.model_file), dataset.classes), test, dataset.classes),
            ),
        ):
            rows[f"{name}, seed {seed}"] = [found.scores["dataset"][score]["value"] for score in SCORES]
            print(f"{name}, seed {seed}: {rows[f'{name}, seed {seed}']}", flush=True)
    headings = ("AP@0.5", "panoptic quality", "relative count error")
    table(f"{options.minutes:g} minutes each, 13 test images", headings, rows)


if __name__ == "__main__":
    main()
