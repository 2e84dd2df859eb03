"""Every normalization goes from the plan through training into the model file, and gives one Dice everywhere."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.data.image_io import read_image, read_mask
from segkit.data.opening import open_dataset
from segkit.evaluation.evaluate import evaluate_masks
from segkit.inference.writer import write_predictions
from segkit.modelfile import read_card
from segkit.pipeline import NormalizationName
from tests.experiment.conftest import write_tiff_set


@pytest.mark.parametrize("name", ["zscore", "ct"])
def test_one_dice_everywhere(tmp_path: Path, name: NormalizationName) -> None:
    data = write_tiff_set(tmp_path / "data", lambda number: 4.0**number)
    run = segkit.train(
        data, output=tmp_path / "run", normalization=None if name == "zscore" else name, channel_names=["T1"],
        epochs=1, backbone_options={"width": 4, "depth": 3}, batch_size=4, device="cpu", workers=0, quiet=True,
    )  # fmt: skip
    pipeline = read_card(run.model_file).pipeline
    assert (pipeline["normalization"], pipeline["channel_names"], pipeline["smallest"]) == (name, ["T1"], 64)
    if name == "ct":
        records = open_dataset(data).split("train")
        masks = [read_mask(record.mask) for record in records if isinstance(record.mask, Path)]
        foreground = np.concatenate([read_image(r.image)[m > 0] for r, m in zip(records, masks, strict=True)])
        assert (pipeline["low"], pipeline["high"]) == pytest.approx(np.percentile(foreground, [0.5, 99.5]))
    with (run.folder / "metrics.csv").open(newline="") as file:
        validated = max(float(row["score"]) for row in csv.DictReader(file))
    evaluated = segkit.evaluate(run.folder, data, split="val", device="cpu", quiet=True)
    dataset = open_dataset(data)
    records = dataset.split("val")
    write_predictions(segkit.load(run.folder, device="cpu"), [record.image for record in records], tmp_path / "out")
    from_files = evaluate_masks(tmp_path / "out" / "masks", records, dataset.classes)
    assert evaluated.score == pytest.approx(validated, abs=1e-6)
    assert from_files.score == pytest.approx(validated, abs=1e-6)
