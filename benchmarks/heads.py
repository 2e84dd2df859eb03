"""The sample set: one network of three heads beside three networks of one head, each trained for the same minutes.

`python -m benchmarks.heads --minutes 4 --seeds 1`
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import segkit
from benchmarks._side_by_side import arguments, table
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.evaluation.evaluate import evaluate_heads
from segkit.inference.loading import load
from segkit.structures import TaskName

HEADS: tuple[TaskName, ...] = ("segment", "detect", "classify")
SCORES = {"segment": "mean_foreground_dice", "detect": "ap50", "classify": "top_1"}


def main() -> None:
    """Train four networks once per seed and print one row for each kind."""
    options = arguments(__doc__, minutes=4, seeds=1)
    budget = f"{60 * options.minutes:g}s"
    with tempfile.TemporaryDirectory() as folder:
        data = options.data or Path(folder) / "sample"
        if options.data is None:
            write_sample(data)
        rows: dict[str, list[float]] = {}
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            together = segkit.train(data, heads=HEADS, budget=budget, seed=seed)
            rows[f"three heads, seed {seed}"] = _scores(together.model_file, data)
            alone = [segkit.train(data, task=head, budget=budget, seed=seed) for head in HEADS]
            rows[f"each alone, seed {seed}"] = [score for run in alone for score in _scores(run.model_file, data)]
            print(rows, flush=True)
    table(f"{options.minutes:g} minutes each, test part", ("foreground Dice", "AP50", "label accuracy"), rows)


def _scores(model: Path, data: Path) -> list[float]:
    """The score of every head of a model on the test part."""
    predictor = load(model)
    dataset = open_dataset(data, heads=tuple(predictor.heads))
    found = evaluate_heads(predictor, dataset.split("test"), dataset.heads)
    return [evaluation.scores["dataset"][SCORES[task]]["value"] for task, evaluation in found.items()]


if __name__ == "__main__":
    main()
