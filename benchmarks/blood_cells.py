"""Blood cells (BCCD, official split): AP50 on the test part after equal minutes, segkit and torchvision's FCOS.

Both have the same backbone, from scratch. `python -m benchmarks.blood_cells --minutes 20 --seeds 1`

A run of segkit that is complete in `runs/` is not trained again, so that an interrupted benchmark goes on.
"""

from __future__ import annotations

from pathlib import Path

import segkit
from benchmarks._data import find
from benchmarks._fcos_recipe import train_fcos
from benchmarks._side_by_side import arguments, table
from segkit.data.opening import open_dataset
from segkit.evaluation.evaluate import evaluate
from segkit.inference.loading import load
from segkit.modelfile import read_card
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model

SCORES = ("ap", "ap50", "ap75")


def main() -> None:
    """Train both once per seed and print one row for each."""
    options = arguments(__doc__, minutes=20, seeds=1)
    data = find("bccd", options.data)
    dataset = open_dataset(data, task="detect")
    dataset.require_usable()
    rows: dict[str, list[float]] = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        run = Path("runs") / f"blood_cells_{options.minutes:g}_minutes_seed_{seed}"
        if not (run / "evaluation" / "metrics.json").exists():
            segkit.train(data, task="detect", budget=f"{60 * options.minutes:g}s", seed=seed, output=run)
        ours = load(run)
        network = ModelConfig.parse(read_card(run / "model.safetensors").model)
        recipe = train_fcos(dataset, build_model(network).backbone, options.minutes, seed)
        for name, found in (
            ("segkit, defaults", evaluate(ours, dataset.split("test"), dataset.classes)),
            ("torchvision FCOS, its usual loop", evaluate(recipe, dataset.split("test"), dataset.classes)),
        ):
            rows[f"{name}, seed {seed}"] = [found.scores["dataset"][score]["value"] for score in SCORES]
            print(f"{name}, seed {seed}: {rows[f'{name}, seed {seed}']}", flush=True)
    table(f"{options.minutes:g} minutes each, test part", [score.upper() for score in SCORES], rows)


if __name__ == "__main__":
    main()
