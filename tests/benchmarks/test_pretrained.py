"""The table of what a classifier's backbone gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.pretrained import table
from segkit.data.opening import open_dataset


def test_both_scores_are_shown_with_the_images_that_were_there(tmp_path: Path) -> None:
    for part, count in (("train", 17), ("val", 2), ("test", 4)):
        for number in range(count):
            mask = np.zeros((8, 8), np.uint8)
            mask[: 1 + number % 7, 2:5] = 1
            for kind, pixels in (("images", mask * 90 + number), ("masks", mask)):
                folder = tmp_path / part / kind
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{part}{number}.png")
    found = [{"mean_foreground_dice": 0.5, "mean_iou": 0.4}, {"mean_foreground_dice": 0.7, "mean_iou": 0.5}]
    assert table("mean_foreground_dice", open_dataset(tmp_path), {"from scratch": found}) == [
        "| mean foreground Dice on 4 test images, 3 masks | seed 0 | seed 1 | mean |",
        "| --- | --- | --- | --- |",
        "| from scratch | 0.5000 | 0.7000 | 0.6000 |",
    ]
    assert table("mean_iou", open_dataset(tmp_path), {"from scratch": found})[2].endswith("0.4000 | 0.5000 | 0.4500 |")
