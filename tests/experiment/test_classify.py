"""A classifier from class folders to its scores, and its backbone in a segmentation and back."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segkit
from segkit.data.fingerprint import fingerprint
from segkit.data.image_io import read_image
from segkit.data.opening import open_dataset
from segkit.errors import DataError, UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.plan import Plan, make_plan
from segkit.pipeline import Pipeline

SMALL = {"batch_size": 4, "device": "cpu", "workers": 0, "precision": "fp32", "quiet": True, "epochs": 2}
PLAIN = {"backbone_options": {"width": 4, "depth": 3}}
ALEXNET = {"augment": "alexnet", "crop": 28, "optimizer": "sgd", "mixup": 0.2, "label_smoothing": 0.1}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 14 images each, of several sizes."""
    root = tmp_path_factory.mktemp("photos")
    for name, color in (("red", (170, 60, 60)), ("blue", (60, 60, 170))):
        (root / name).mkdir()
        for number in range(14):
            generator = np.random.default_rng((number, color[0]))
            pixels = np.array(color) + generator.integers(-50, 50, (30 + number, 44, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def run(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> segkit.Run:
    folder = tmp_path_factory.mktemp("runs") / "classifier"
    return segkit.train(photos, task="classify", output=folder, **PLAIN, **ALEXNET, **SMALL)  # type: ignore[arg-type]


def test_what_was_validated_is_what_evaluation_and_prediction_do(run: segkit.Run, photos: Path) -> None:
    with (run.folder / "metrics.csv").open(newline="") as file:
        validated = max(float(row["score"]) for row in csv.DictReader(file))
    evaluated = segkit.evaluate(run.folder, photos, split="val", device="cpu", quiet=True)
    assert evaluated.score == validated
    predictor = segkit.load(run.folder, device="cpu")
    for row in evaluated.per_image:
        found = predictor.classify(photos / f"{row['image']}.png")
        assert float(found.probabilities.max()) == row["probability"]


def test_the_model_file_holds_the_crop(run: segkit.Run, photos: Path) -> None:
    predictor = segkit.load(run.folder, device="cpu")
    assert isinstance(predictor.pipeline, Pipeline)
    assert (predictor.pipeline.size, predictor.pipeline.center_crop) == ((32, 32), (28, 28))
    assert predictor.pipeline.prepare(read_image(photos / "red" / "00.png")).shape == (3, 28, 28)


def test_scores_and_report_are_complete(run: segkit.Run) -> None:
    assert {"precision", "recall", "f1"} <= run.scores["classes"][0].keys()
    assert "True class" in run.report.read_text(encoding="utf-8")
    log = (run.folder / "log.txt").read_text(encoding="utf-8")
    assert "images resized to 32×32, crops of 28×28 in training, the middle one in validation and prediction" in log
    assert "SGD with momentum 0.9 and no weight decay (as asked)" in log
    assert "precision" in log.splitlines()[-3]


@pytest.mark.parametrize("network", [PLAIN, {"backbone": "smp/resnet18"}], ids=["plain", "smp/resnet18"])
def test_a_backbone_goes_to_a_segmentation_and_back(
    network: dict[str, object], photos: Path, discs: Path, tmp_path: Path
) -> None:
    settings = {**SMALL, "epochs": 1, "crop": 32}
    labels = segkit.train(photos, output=tmp_path / "labels", **network, **settings)  # type: ignore[arg-type]
    masks = segkit.train(discs, output=tmp_path / "masks", weights=str(labels.folder), channels="rgb", **settings)  # type: ignore[arg-type]
    again = segkit.train(photos, output=tmp_path / "again", weights=str(masks.model_file), **settings)  # type: ignore[arg-type]
    backbones = [run.config.model.backbone for run in (labels, masks, again)]
    assert len(set(backbones)) == 1
    for trained, new, unused in ((masks, "decoder", "heads.classify (2)"), (again, "heads.classify (2)", "decoder")):
        log = (trained.folder / "log.txt").read_text(encoding="utf-8")
        (line,) = [line for line in log.splitlines() if line.startswith("weights ")]
        assert "that of the initial weights" in log
        assert f"new: {new}" in line
        assert f"not used: {unused}" in line


def test_of_a_table_with_masks_and_labels_only_the_labels_are_read(
    run: segkit.Run, photos: Path, tmp_path: Path
) -> None:
    """The masks are no masks, so that whatever reads them fails."""
    rows = [f"{path},{path},{path.parent.name}" for path in sorted(photos.glob("*/*.png"))]
    table = tmp_path / "table.csv"
    table.write_text("\n".join(["image,mask,label", *rows]) + "\n")
    trained = segkit.train(table, task="classify", output=tmp_path / "run", **PLAIN, **{**SMALL, "epochs": 1})  # type: ignore[arg-type]
    assert trained.config.task == "classify"
    evaluated = segkit.evaluate(run.folder, table, split="all", device="cpu", quiet=True)
    assert len(evaluated.per_image) == 28
    with pytest.raises(DataError):
        segkit.train(table, output=tmp_path / "masks", **PLAIN, **SMALL)  # type: ignore[arg-type]


def plan(data: Path, **settings: object) -> Plan:
    config = ExperimentConfig.parse({"path": data, **settings})
    dataset = open_dataset(data, config.data)
    return make_plan(config, dataset, fingerprint(dataset), torch.device("cpu"))


def test_mixup_needs_two_images(photos: Path) -> None:
    with pytest.raises(UsageError, match=r"--mixup 0.2: it blends images of one batch; take --batch-size 2 or more"):
        plan(photos, training={"mixup": 0.2, "batch_size": 1})
    assert plan(photos, training={"mixup": 0.2, "batch_size": 2}).config.training.mixup == 0.2


def test_the_weight_of_side_classifiers_needs_some(photos: Path, discs: Path) -> None:
    given = {"auxiliary_weight": 0.4}
    with pytest.raises(UsageError, match=r"auxiliary_weight 0.4: only classifiers have side classifiers"):
        plan(discs, training=given)
    for backbone in ("plain", "smp/resnet18"):
        with pytest.raises(UsageError, match=rf"auxiliary_weight 0.4: backbone {backbone} has no side classifiers"):
            plan(photos, training=given, model={"backbone": backbone})
    for backbone in ("googlenet", "inception_v3"):
        planned = plan(photos, training=given, model={"backbone": backbone})
        assert planned.config.training.auxiliary_weight == 0.4
    assert plan(discs, training={"auxiliary_weight": 0.3}).config.task == "segment"  # as a run's own config.yaml has it
