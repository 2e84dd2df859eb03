"""segkit's defaults and the smp recipe on the same data, alternating in one run, as a table."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

import segkit
from benchmarks._data import find
from benchmarks._smp_recipe import train_smp
from segkit.data.config import DataConfig
from segkit.data.opening import open_dataset
from segkit.evaluation.evaluate import Evaluation, evaluate

Score = Callable[[NDArray[np.int64]], float]
"""From a confusion matrix (K, K) over the whole test part to the number compared."""


def arguments(description: str | None, minutes: float, seeds: int) -> argparse.Namespace:
    """`--minutes`, `--seeds`, `--first-seed` and `--data` of the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--minutes", type=float, default=minutes, help="of training, for each network (%(default)s)")
    parser.add_argument("--seeds", type=int, default=seeds, help="number of trainings of each (%(default)s)")
    parser.add_argument(
        "--first-seed", type=int, default=0, help="of the trainings; to measure more later (%(default)s)"
    )
    parser.add_argument("--data", type=Path, help="the unpacked data set; else found through SEGKIT_DATASETS")
    return parser.parse_args()


def compare(
    name: str, options: argparse.Namespace, settings: dict[str, Any], score: Score, title: str, vertical_flips: bool
) -> None:
    """Train both on the data set `name` once per seed, segkit first each time, and print one row per seed.

    Args:
        name: of the data set's archive.
        options: of the command line, as `arguments` returns them.
        settings: how the data set is read, by the names of `DataConfig`.
        score: what is compared.
        title: of the column with the scores.
        vertical_flips: whether the recipe flips upside down; segkit decides that by itself.
    """
    data = find(name, options.data)
    dataset = open_dataset(data, DataConfig.parse(settings))
    dataset.require_usable()

    def scored(evaluation: Evaluation) -> float:
        assert evaluation.confusion is not None
        return score(evaluation.confusion)

    ours: list[float] = []
    recipe: list[float] = []
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for seed in seeds:
        run = segkit.train(data, budget=f"{60 * options.minutes:g}s", seed=seed, **settings)
        ours.append(scored(segkit.evaluate(run.folder, data, split="test", quiet=True)))
        predictor = train_smp(dataset, options.minutes, seed, vertical_flips)
        recipe.append(scored(evaluate(predictor, dataset.split("test"), dataset.classes, quick=True)))
        print(f"seed {seed}: segkit {ours[-1]:.4f}, smp recipe {recipe[-1]:.4f}", flush=True)
    headings = [*(f"seed {seed}" for seed in seeds), "mean"]
    print("\n" + _row(f"{options.minutes:g} minutes each, {title}", headings))
    print("| --- |" + " --- |" * len(headings))
    print(_row("segkit, defaults", [f"{value:.4f}" for value in (*ours, mean(ours))]))
    print(_row("smp recipe, U-Net/ResNet-34", [f"{value:.4f}" for value in (*recipe, mean(recipe))]))


def table(title: str, headings: Sequence[str], rows: Mapping[str, Sequence[float]]) -> None:
    """Print a table of scores, one row per name."""
    print("\n" + _row(title, list(headings)))
    print("| --- |" + " --- |" * len(headings))
    for name, values in rows.items():
        print(_row(name, [f"{value:.3f}" for value in values]))


def _row(label: str, cells: list[str]) -> str:
    return f"| {label} | {' | '.join(cells)} |"
