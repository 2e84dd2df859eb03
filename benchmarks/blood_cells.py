"""Blood cells (BCCD, official split): AP50 on the test part after equal minutes, segkit and torchvision's FCOS.

Both have the same backbone, from scratch. `python -m benchmarks.blood_cells --minutes 20 --seeds 1`
"""

from __future__ import annotations

import segkit
from benchmarks._data import find
from benchmarks._fcos_recipe import train_fcos
from benchmarks._side_by_side import arguments, table
from segkit.data.config import DataConfig
from segkit.data.opening import open_dataset
from segkit.evaluation.evaluate import evaluate
from segkit.inference.loading import load
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model

SETTINGS = {"allow": ("zero-area-box",)}
NAMES = ("segkit, defaults", "torchvision FCOS, its usual loop")
SCORES = ("ap", "ap50", "ap75")


def main() -> None:
    options = arguments(__doc__, minutes=20, seeds=1)
    data = find("bccd", options.data)
    dataset = open_dataset(data, DataConfig.parse(SETTINGS), task="detect")
    dataset.require_usable()
    rows = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        run = segkit.train(data, task="detect", budget=f"{60 * options.minutes:g}s", seed=seed, **SETTINGS)
        predictor = load(run.model_file)
        config = ModelConfig.parse(predictor.card.model) if predictor.card else None
        assert config is not None
        recipe = train_fcos(dataset, build_model(config).backbone, options.minutes, seed)
        for name, scored in zip(NAMES, (predictor, recipe), strict=True):
            found = evaluate(scored, dataset.split("test"), dataset.classes).scores["dataset"]
            rows[f"{name}, seed {seed}"] = [found[score] for score in SCORES]
    table(f"{options.minutes:g} minutes each, 72 test images", [score.upper() for score in SCORES], rows)


if __name__ == "__main__":
    main()
