"""From a folder of images to masks, as a newcomer does it: through the command line, then the same in Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segkit
from segkit.cli import main
from segkit.data.synthetic import write_sample

FOREGROUND = (1, 2)


def command(*words: str | Path) -> int:
    """Run `segkit WORDS` and return its exit code."""
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert isinstance(left.value.code, int)
    return left.value.code


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a sample set, one run on it and the masks it predicts."""
    place = tmp_path_factory.mktemp("workplace")
    write_sample(place / "sample", count=14, size=64)
    options: list[str | Path] = ["--epochs", "2", "--batch-size", "4", "--device", "cpu", "--quiet"]
    assert command("train", place / "sample", "-o", place / "run", *options) == 0
    predict: list[str | Path] = [
        "predict",
        place / "run",
        place / "sample" / "images",
        "-o",
        place / "masks",
        "--overlay",
        "--quiet",
    ]
    assert command(*predict) == 0
    return place


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def ids_of(place: Path, split: str) -> list[str]:
    return [row["id"] for row in table(place / "sample" / "split.csv") if row["split"] == split]


def dice_of_files(place: Path, ids: list[str]) -> float:
    """Mean foreground Dice over all pixels of the written masks, by the textbook."""
    folders = (place / "sample" / "masks", place / "masks" / "masks")
    reference, prediction = (
        np.stack([np.asarray(Image.open(folder / f"{name}.png")) for name in ids]) for folder in folders
    )
    scores = []
    for class_id in FOREGROUND:
        first, second = reference == class_id, prediction == class_id
        scores.append(2 * (first & second).sum() / (first.sum() + second.sum()))
    return float(np.mean(scores))


def test_the_run_folder_is_complete(workplace: Path) -> None:
    run = workplace / "run"
    for name in (
        "config.yaml",
        "splits.json",
        "fingerprint.json",
        "environment.json",
        "log.txt",
        "metrics.csv",
        "checkpoints/last.ckpt",
        "model.safetensors",
        "evaluation/metrics.json",
        "evaluation/per_image.csv",
        "evaluation/confusion_matrix.csv",
        "report.html",
    ):
        assert (run / name).stat().st_size > 0, name
    assert list((run / "evaluation" / "overlays").glob("*.png"))


@pytest.mark.parametrize("split", ["val", "test"])
def test_evaluate_scores_what_predict_writes(workplace: Path, capsys: pytest.CaptureFixture[str], split: str) -> None:
    assert command("evaluate", workplace / "run", workplace / "sample", "--split", split, "--json") == 0
    score = json.loads(capsys.readouterr().out)["score"]
    assert score == pytest.approx(dice_of_files(workplace, ids_of(workplace, split)), abs=1e-6)


def test_the_best_validation_is_that_of_the_saved_model(workplace: Path) -> None:
    best = max(float(row["score"]) for row in table(workplace / "run" / "metrics.csv"))
    assert best == pytest.approx(dice_of_files(workplace, ids_of(workplace, "val")), abs=1e-6)


def test_python_gives_the_same_masks(workplace: Path) -> None:
    predictor = segkit.load(workplace / "run", device="cpu")
    for image in sorted((workplace / "sample" / "images").iterdir())[:3]:
        result = predictor.segment(image)
        assert np.array_equal(result.mask, np.asarray(Image.open(workplace / "masks" / "masks" / image.name)))


def test_a_run_is_never_overwritten(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("train", workplace / "sample", "-o", workplace / "run", "--epochs", "1") == 2
    assert "run" in capsys.readouterr().err
    monkeypatch.chdir(workplace)
    for _ in range(2):
        assert command("train", "sample", "--epochs", "1", "--batch-size", "4", "--device", "cpu", "--quiet") == 0
    assert sorted(run.name for run in Path("runs").iterdir()) == ["sample-unet-plain-1", "sample-unet-plain-2"]


def test_training_images_are_not_scored_by_accident(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("evaluate", workplace / "run", workplace / "sample", "--split", "train") != 0
    assert "trained on" in capsys.readouterr().err
    assert command("evaluate", workplace / "run", workplace / "sample", "--split", "all", "--quiet") == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "nowhere"], "nowhere"),
        (["evaluate", "no-model", "."], "no-model"),
        (["train", ".", "--epoch", "3"], "--epoch"),
        (["trian", "."], "trian"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*words) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
