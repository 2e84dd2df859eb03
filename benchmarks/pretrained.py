"""Street scenes with few masks (CamVid): segmentation from scratch against a backbone first trained as a classifier.

The point of fully convolutional networks (Long et al. 2015, section 4): a mask costs minutes of drawing, a label one
word, and a classifier's backbone starts a segmentation. Every 8th training image has its mask here (46 of 367). The
classifier sees patches of 96 x 96 from all training images, labelled by the class that most of their pixels show;
patches without a class of more than half of the pixels are left out, and so are classes of fewer than 50 patches.
Of the validation images some choose and test the classifier; the test images it never sees.

Three rows of test mean foreground Dice and mIoU for each seed: from scratch; after the classifier, in the
same minutes; and from scratch in the minutes of both, so that what is gained is not only the time.
`python -m benchmarks.pretrained --minutes 5 --seeds 3` takes about 28 minutes per seed: 5 as a classifier, 5 + 10 + 5
on masks, and a little for each test part.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np

import segkit
from benchmarks._data import find
from segkit.data.image_io import write_image
from segkit.data.opening import OpenDataset, open_dataset
from segkit.data.samples import load_sample
from segkit.models.config import Option
from segkit.structures import IGNORE_INDEX, Record

PATCH = 96
MAJORITY = 0.5
FEWEST = 50
EVERY = 8
NETWORK: dict[str, Option] = {"width": 32, "stem_stride": 2}
"""The default backbone of a segmentation on a CPU, for the classifier as well, that its weights fit."""

METRICS = {"mean_foreground_dice": "mean foreground Dice", "mean_iou": "mIoU"}
"""Scores of the test part, and how they are called."""

Scores = Mapping[str, float]
"""Metric to value."""

Patch = tuple[str, str, str]
"""File, label and part."""


def write_patches(dataset: OpenDataset, folder: Path) -> Path:
    """Cut the patches; a quarter of the validation images validates, another tests; returns the table."""
    folder.mkdir()
    validating = dataset.split("val")
    parts = {"train": dataset.split("train"), "val": validating[::4], "test": validating[2::4]}
    patches = [patch for part, records in parts.items() for patch in _patches(dataset, records, part, folder)]
    counts = Counter(label for _, label, part in patches if part == "train")
    rows = [patch for patch in patches if counts[patch[1]] >= FEWEST]
    print(f"patches: {dict(Counter(label for _, label, part in rows if part == 'train'))}", flush=True)
    return _write_table(folder / "patches.csv", ("image", "label", "split"), rows)


def _patches(dataset: OpenDataset, records: Sequence[Record], part: str, folder: Path) -> Iterator[Patch]:
    for record in records:
        sample = load_sample(record, dataset.classes)
        assert sample.mask is not None
        height, width = sample.mask.shape
        for top in range(0, height - PATCH + 1, PATCH):
            for left in range(0, width - PATCH + 1, PATCH):
                window = slice(top, top + PATCH), slice(left, left + PATCH)
                shown = sample.mask[window]
                counts = np.bincount(shown[shown != IGNORE_INDEX], minlength=dataset.classes.num_classes)
                if counts.max() > MAJORITY * PATCH**2:
                    name = f"{Path(record.id).name}_{top}_{left}.png"
                    write_image(folder / name, sample.image[window])
                    yield name, dataset.classes.names[int(counts.argmax())], part


def write_split(dataset: OpenDataset, path: Path) -> Path:
    """A split file that names every 8th training image, and all of the others."""
    parts = {"train": dataset.split("train")[::EVERY], "val": dataset.split("val"), "test": dataset.split("test")}
    return _write_table(path, ("id", "split"), [(r.id, part) for part, records in parts.items() for r in records])


def _write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def score(data: Path, split: Path, minutes: float, seed: int, weights: str) -> Scores:
    """Test scores of one training on the few masks."""
    budget = f"{60 * minutes:g}s"
    run = segkit.train(data, split=split, budget=budget, seed=seed, weights=weights, backbone_options=NETWORK)
    return {metric: float(run.scores["dataset"][metric]["value"]) for metric in METRICS}


def table(metric: str, dataset: OpenDataset, scores: Mapping[str, Sequence[Scores]]) -> list[str]:
    """The lines of one metric: a row for each way, a column for each seed, and their mean."""
    masks = len(dataset.split("train")[::EVERY])
    seeds = len(next(iter(scores.values())))
    caption = f"{METRICS[metric]} on {len(dataset.split('test'))} test images, {masks} masks"
    lines = [f"| {caption} | {' | '.join([*(f'seed {seed}' for seed in range(seeds)), 'mean'])} |"]
    lines.append("| --- |" + " --- |" * (seeds + 1))
    for row, found in scores.items():
        values = [each[metric] for each in found]
        lines.append(f"| {row} | {' | '.join(f'{value:.4f}' for value in (*values, mean(values)))} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="of each training (%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings of each (%(default)s)")
    parser.add_argument("--data", type=Path, help="the unpacked data set; else found through SEGKIT_DATASETS")
    options = parser.parse_args()
    data, minutes = find("camvid", options.data), options.minutes
    dataset = open_dataset(data)
    dataset.require_usable()
    scores: dict[str, list[Scores]] = {}
    with TemporaryDirectory() as scratch:
        patches, split = (
            write_patches(dataset, Path(scratch) / "patches"),
            write_split(dataset, Path(scratch) / "split.csv"),
        )
        for seed in range(options.seeds):
            budget = f"{60 * minutes:g}s"
            classifier = segkit.train(patches, task="classify", budget=budget, seed=seed, backbone_options=NETWORK)
            for row, time, weights in (
                (f"from scratch, {minutes:g} minutes", minutes, "none"),
                (f"from scratch, {2 * minutes:g} minutes", 2 * minutes, "none"),
                (f"{minutes:g} minutes as a classifier, then {minutes:g} minutes", minutes, str(classifier.model_file)),
            ):
                scores.setdefault(row, []).append(score(data, split, time, seed, weights))
                found = ", ".join(f"{METRICS[metric]} {value:.4f}" for metric, value in scores[row][-1].items())
                print(f"seed {seed}, {row}: {found}", flush=True)
    for metric in METRICS:
        print("", *table(metric, dataset, scores), sep="\n")


if __name__ == "__main__":
    main()
