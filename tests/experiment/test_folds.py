"""Cross-validation end to end: runs per fold, one table, one model, and going on where it ended."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import segkit
from segkit.config import read_yaml
from segkit.data.image_io import read_image
from segkit.errors import DataError, UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import Teller
from segkit.experiment.plan import make_plan
from segkit.experiment.run import Run
from segkit.experiment.start import measure, open_usable, start
from segkit.inference.ensemble import EnsemblePredictor
from segkit.modelfile import read_card
from segkit.training.interrupt import Interrupted
from tests.experiment.conftest import write_discs

SMALL = {
    "backbone_options": {"width": 4, "depth": 2},
    "epochs": 1,
    "draws_per_image": 1,
    "batch_size": 4,
    "device": "cpu",
    "workers": 0,
    "quiet": True,
}


def train(data: Path | None, output: Path, **given: object) -> Run:
    return segkit.train(data, output=output, **(SMALL | given))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen discs of seven patients in no parts, but for one image of two more that a split file keeps out."""
    folder = write_discs(tmp_path_factory.mktemp("data") / "discs", count=14)
    rows = [f"disc_{number:02d},{'test' if number in (6, 13) else 'train'}" for number in range(14)]
    (folder / "split.csv").unlink()
    (folder.parent / "test.csv").write_text("\n".join(["id,split", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three folds over twelve images, two images for the test."""
    output = tmp_path_factory.mktemp("runs") / "folds"
    return train(data, output, folds=3, split=data.parent / "test.csv")


def rows_of(run: Run) -> list[dict[str, str]]:
    with (run.folder / "evaluation" / "per_image.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_run_per_fold_and_one_table_of_all(run: Run, data: Path) -> None:
    validated = []
    for number in range(3):
        fold = Run(run.folder / f"fold-{number}")
        assert fold.report.exists()
        parts = fold.read_json("splits.json")
        assert parts == run.read_json(f"splits/fold-{number}.json")
        assert parts["test"] == ["disc_06", "disc_13"]
        assert fold.config.folds is None
        validated += parts["val"]
    rows = rows_of(run)
    assert [row["image"] for row in rows] == validated
    assert sorted(validated) == [f"disc_{number:02d}" for number in range(14) if number not in (6, 13)]
    assert (run.scores["images"], run.scores["units"]) == (12, 12)
    low, high = run.scores["interval"]
    assert low <= run.scores["score"] <= high
    assert run.config.folds == 3


def test_each_image_is_scored_by_the_network_that_did_not_train_on_it(run: Run, data: Path) -> None:
    """The pooled rows are those of the single models, each on the validation images of its own fold."""
    pooled = {row["image"]: row["dice"] for row in rows_of(run)}
    means = []
    for number in range(3):
        single = segkit.evaluate(run.folder / f"fold-{number}", data, split="val", device="cpu", quiet=True)
        assert {row["image"]: str(row["dice"]) for row in single.per_image} == {
            row["image"]: pooled[row["image"]] for row in single.per_image
        }
        means.append(np.mean([row["dice"] for row in single.per_image]))
        assert single.score == pytest.approx(
            read_card(Run(run.folder / f"fold-{number}").model_file).scores["val"]["score"]
        )
    assert run.scores["folds"]["image_scores"] == pytest.approx(means)
    confusion = [list(map(int, row.split(",")[1:])) for row in _lines(run)[1:]]
    assert np.sum(confusion) == 12 * 48 * 40


def _lines(run: Run) -> list[str]:
    return (run.folder / "evaluation" / "confusion_matrix.csv").read_text().splitlines()


def test_the_report_says_what_the_score_is(run: Run) -> None:
    page = run.report.read_text(encoding="utf-8")
    assert "Of the validation images of 3 folds together" in page
    assert "a little better than on new ones" in page


def test_the_folds_are_one_model(run: Run, data: Path) -> None:
    predictor = segkit.load(run.folder, device="cpu")
    assert isinstance(predictor, EnsemblePredictor)
    assert run.model_file == run.folder / "ensemble.json"
    image = read_image(data / "images" / "disc_06.png")
    singles = [segkit.load(run.folder / f"fold-{n}", device="cpu").segment(image, probabilities=True) for n in range(3)]
    mean = np.mean([single.probabilities for single in singles if single.probabilities is not None], axis=0)
    found = predictor.segment(image, probabilities=True).probabilities
    assert found is not None
    np.testing.assert_allclose(found, mean, atol=1e-6)


def test_the_ensemble_is_scored_on_the_test_part_and_refused_on_what_any_fold_trained_on(run: Run, data: Path) -> None:
    tested = segkit.evaluate(run.folder, data, device="cpu", quiet=True)
    assert [row["image"] for row in tested.per_image] == ["disc_06", "disc_13"]
    assert tested.scores["evaluated"]["engine"] == "ensemble of 3 networks, torch, cpu, fp32"
    with pytest.raises(DataError, match="the model was trained on 12 of the images"):
        segkit.evaluate(run.folder, data, split="train", device="cpu", quiet=True)
    with pytest.raises(UsageError, match="no image of the model's own val part"):
        segkit.evaluate(run.folder, data, split="val", device="cpu", quiet=True)


def test_two_cross_validations_are_compared(run: Run) -> None:
    found = segkit.compare(run.folder, run.folder)
    assert (found.images, found.differences[0].difference) == (12, 0)


def test_goes_on_fold_by_fold(run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed in its second fold, and again before a fold had its settings, ends as one that was not."""
    begun = []

    def end_in_second(*given: object) -> Run:
        begun.append(given)
        if len(begun) == 2:
            raise Interrupted(2, "stopped")
        return start(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("segkit.experiment.folds.start", end_in_second)
    output = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(data, output, folds=3, split=data.parent / "test.csv")
    assert not (output / "ensemble.json").exists()
    with pytest.raises(UsageError, match=r"before all its folds are trained; go on with '--resume'"):
        segkit.load(output)
    (output / "fold-1").mkdir()
    (output / "fold-1" / "log.txt").write_text("read as: ...")
    first = (output / "fold-0" / "model.safetensors").stat().st_mtime_ns
    resumed = segkit.train(output=output, resume=True, quiet=True)
    assert (output / "fold-0" / "model.safetensors").stat().st_mtime_ns == first
    assert rows_of(resumed) == rows_of(run)
    assert resumed.scores["score"] == run.scores["score"]


@pytest.mark.parametrize("asked", [{}, {"optimizer": "sgd"}])
def test_a_fold_is_planned_as_a_single_run_is(data: Path, tmp_path: Path, asked: dict[str, object]) -> None:
    """The one as it begins, the other by a resumed cross-validation; nothing counts as asked for that was not."""
    options = {"backbone_options": {"width": 4, "depth": 2}}
    given = {**options, "epochs": 1, "crop": 32, "device": "cpu", "quiet": True, **asked}
    run = segkit.train(data, output=tmp_path / "folds", folds=2, fold=0, **given)  # type: ignore[arg-type]
    segkit.train(output=run.folder, resume=True, fold=1, quiet=True)
    settings = {
        "path": str(data),
        "model": options,
        "sampling": {"crop": 32},
        "training": {"epochs": 1, **asked},
        "device": "cpu",
    }
    for number in range(2):
        split = run.folder / f"splits/fold-{number}.json"
        config = ExperimentConfig.parse({**settings, "data": {"split": split}})
        dataset, nobody = open_usable(config, Teller(quiet=True)), Teller(quiet=True)
        plan = make_plan(config, dataset, measure(config, dataset, nobody), torch.device("cpu"))
        fold = Run(run.folder / f"fold-{number}")
        log = (fold.folder / "log.txt").read_text(encoding="utf-8").splitlines()
        first = log.index("plan:") + 1
        assert log[first : first + len(plan.reasons)] == [f"  {choice} ({why})" for choice, why in plan.reasons]
        assert (fold.config.training, fold.config.sampling) == (plan.config.training, plan.config.sampling)
    assert read_yaml(run.folder / "config.yaml") == {**settings, "folds": 2, "data": {}}


def test_a_moved_cross_validation_goes_on_in_the_middle_of_a_fold(
    run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where another one, cut otherwise, stands in its old place."""
    monkeypatch.setattr("segkit.experiment.session.fit", _stopped)
    old, new = tmp_path / "old", tmp_path / "below" / "new"
    with pytest.raises(Interrupted):
        train(data, old, folds=3, split=data.parent / "test.csv")
    assert (old / "fold-0" / "config.yaml").exists()
    new.parent.mkdir()
    old.rename(new)
    monkeypatch.undo()
    (old / "splits").mkdir(parents=True)
    shutil.copy(run.folder / "splits/fold-1.json", old / "splits/fold-0.json")
    segkit.train(output=new / "fold-0", resume=True, quiet=True)
    assert rows_of(segkit.train(output=new, resume=True, quiet=True)) == rows_of(run)


def _stopped(*given: object, **settings: object) -> None:
    raise Interrupted(2, "stopped")


def test_one_fold_at_a_time(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "run"
    train(data, output, folds=2, fold=1, quiet=False)
    assert (output / "fold-1" / "report.html").exists()
    assert not (output / "fold-0").exists()
    assert f"still to train: fold 0; segkit train --resume -o {output}" in capsys.readouterr().out
    segkit.train(output=output, resume=True, fold=0, quiet=True)
    assert Run(output).scores["images"] == 14


def test_groups_are_the_units_of_the_pooled_score(data: Path, tmp_path: Path) -> None:
    found = train(data, tmp_path / "run", folds=2, group_by=r"disc_(\d)")
    assert (found.scores["unit"], found.scores["units"]) == ("group", 2)
    assert {row["unit"] for row in rows_of(found)} == {"0", "1"}
    assert list(found.scores["unit_scores"]) != []
    assert "groups whole" in (found.folder / "log.txt").read_text()


def test_what_does_not_fit_is_refused_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    for match, given in (
        (r"--fold 3: there are 3 folds, 0 to 2", {"folds": 3, "fold": 3}),
        (r"--fold 1 is one of several: say of how many with --folds", {"fold": 1}),
        (r"--folds 15: there are 14 images to cut; give at most 14", {"folds": 15}),
        (r"--split 70/15/15 and --folds 3 both cut the data", {"folds": 3, "split": (0.7, 0.15, 0.15)}),
        (r"--folds", {"folds": 1}),
        (r"plainn", {"folds": 3, "backbone": "plainn"}),
    ):
        with pytest.raises(UsageError, match=match):
            train(data, output, **given)
        assert not output.exists()
    broken = tmp_path / "broken"
    shutil.copytree(data, broken)
    (broken / "masks" / "disc_03.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="unreadable-mask"):
        train(broken, output, folds=3)
    assert not output.exists()


def test_resume_takes_a_fold_of_folds_alone(run: Run, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--fold 3: there are 3 folds, 0 to 2"):
        segkit.train(output=run.folder, resume=True, fold=3, quiet=True)
    with pytest.raises(UsageError, match=r"--fold 0: .*fold-0 is a run without folds; leave it out"):
        segkit.train(output=run.folder / "fold-0", resume=True, fold=0, quiet=True)
    with pytest.raises(UsageError, match="--resume goes on with a run as it began"):
        segkit.train(output=run.folder, resume=True, folds=4, quiet=True)
