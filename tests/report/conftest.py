"""Run folders with known content."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from segkit.evaluation.evaluate import evaluate
from segkit.structures import ClassMap, Record
from tests.evaluation.known import KnownMasks, random_masks

HOSTILE = "</style><script>alert('x')</script> & \"quoted\""
CLASSES = ClassMap(
    ("background", "cell <b>bold</b>", "debris"),
    ((0, 0, 0), (0, 158, 115), (213, 94, 0)),
    ids=(0, 10, 20),
    values={0: 0, 10: 1, 20: 2, 255: -1},
)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run of twelve test images whose names and classes try to break out of the page."""
    folder = tmp_path / "cells-unet-plain-1"
    folder.mkdir()
    settings: dict[str, object] = {
        "path": HOSTILE,
        "task": "segment",
        "model": {"backbone": "plain", "decoder": "unet"},
    }
    settings |= {"normalization": "percentile", "data": {"channel_names": ["phase <i>contrast</i>"]}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    _write_json(folder / "splits.json", {"train": ["a", "b"], "val": ["c"], "test": ["d"]})
    _write_json(
        folder / "environment.json", {"command": "segkit train 'my <data>'", "device": "cpu", "accelerator": None}
    )
    shares = {"background": 600, CLASSES.names[1]: 300, "debris": 100}
    fingerprint = {
        "images": {"train": 1200, "val": 4, "test": 12},
        "sizes": {"smallest": [12.0, 20.0], "median": [20.0, 20.0], "largest": [39.0, 39.0]},
        "dtypes": {"uint16": 1216},
        "channels": {"1": 1216},
        "class_pixels": dict.fromkeys(("train", "val", "test"), shares),
        "spacing": {"smallest": [0.5, 0.5], "median": [0.7, 0.6], "largest": [1.0, 0.9], "images": 1000},
        "intensities": {"low": [3.0], "high": [4095.0], "mean": [1023.75], "std": [511.5], "ranges": [900.0, 4000.0]},
        "hashes": {"train": ["0123abcd"]},
    }
    _write_json(folder / "fingerprint.json", fingerprint)
    _write_log(folder / "metrics.csv")
    _write_evaluation(folder)
    return folder


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content))


def _write_log(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "step", "seconds", "learning_rate", "train_loss", "score"])
        writer.writerows([[1, 10, 1.5, 1e-3, 0.9, 0.4], [2, 20, 3, 2e-3, 0.5, 0.777], [3, 30, 4.5, 1e-4, 0.4, 0.7]])


def _write_evaluation(folder: Path) -> None:
    images = folder.parent / "images"
    images.mkdir()
    references, predictions = random_masks(12)
    records = []
    for number, mask in enumerate(references):
        image = np.full(mask.shape, 90, np.uint8) + mask // 2
        image[0, 0] = number
        records.append(
            Record(
                f"{HOSTILE} {number}", _save(images / f"{number}.png", image), _save(images / f"{number}m.png", mask)
            )
        )
    evaluate(KnownMasks(predictions, CLASSES), records, CLASSES).write(folder / "evaluation")


def _save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path
