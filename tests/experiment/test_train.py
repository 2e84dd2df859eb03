"""Training through the Python API: what a run folder holds, and what is refused."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.data.opening import open_dataset
from segkit.errors import ConfigError, DataError, UsageError
from segkit.evaluation.evaluate import evaluate_masks
from segkit.inference.writer import write_predictions
from segkit.modelfile import load_model_file, read_card
from segkit.training.interrupt import Interrupted
from tests.experiment.conftest import write_discs

SMALL = {"backbone_options": {"width": 4, "depth": 3}, "batch_size": 4, "device": "cpu", "workers": 0, "quiet": True}


@pytest.fixture(scope="module")
def run(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> segkit.Run:
    return segkit.train(discs, output=tmp_path_factory.mktemp("runs") / "run", epochs=3, **SMALL)  # type: ignore[arg-type]


def test_the_run_folder_is_complete(run: segkit.Run) -> None:
    written = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    assert written >= {
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
    }
    assert run.read_json("splits.json")["val"] == ["disc_08", "disc_09", "disc_10"]
    assert run.scores["images"] == 3
    assert "plan:" in (run.folder / "log.txt").read_text()


def test_one_dice_everywhere(run: segkit.Run, discs: Path, tmp_path: Path) -> None:
    """The last validation of the kept model = evaluate = the files predict wrote."""
    with (run.folder / "metrics.csv").open(newline="") as file:
        validated = max(float(row["score"]) for row in csv.DictReader(file))
    evaluated = segkit.evaluate(run.folder, discs, split="val", device="cpu", quiet=True)
    dataset = open_dataset(discs)
    records = dataset.split("val")
    write_predictions(segkit.load(run.folder, device="cpu"), [record.image for record in records], tmp_path)
    from_files = evaluate_masks(tmp_path / "masks", records, dataset.classes)
    assert evaluated.score == pytest.approx(validated, abs=1e-6)
    assert from_files.score == pytest.approx(validated, abs=1e-6)


def test_the_card_knows_what_it_was_trained_on(run: segkit.Run) -> None:
    card = read_card(run.model_file)
    assert card.data["name"] == "discs"
    assert [len(card.data["hashes"][part]) for part in ("train", "val", "test")] == [8, 3, 3]
    assert card.heads["segment"]["names"] == ["background", "foreground"]
    assert set(card.scores) == {"val", "test"}
    assert card.scores["test"]["score"] == run.scores["score"]


def test_the_test_part_is_evaluated_by_default(run: segkit.Run, discs: Path) -> None:
    evaluation = segkit.evaluate(run.folder, discs, device="cpu", quiet=True)
    assert [row["image"] for row in evaluation.per_image] == ["disc_11", "disc_12", "disc_13"]
    assert evaluation.score == run.scores["score"]


def test_training_images_are_refused(run: segkit.Run, discs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the model was trained on 8 of the images .* '--split all'"):
        segkit.evaluate(run.folder, discs, split="train", device="cpu", quiet=True)
    copied = tmp_path / "renamed"  # known again by their pixels, not by their names
    for kind in ("images", "masks"):
        (copied / kind).mkdir(parents=True)
        for number in range(8):
            shutil.copy(discs / kind / f"disc_{number:02d}.png", copied / kind / f"new_{number}.png")
    with pytest.raises(DataError, match=r"the model was trained on 8 of the images"):
        segkit.evaluate(run.folder, copied, device="cpu", quiet=True)
    assert len(segkit.evaluate(run.folder, discs, split="all", device="cpu", quiet=True).per_image) == 14


def test_other_data_is_evaluated_whole(run: segkit.Run, tmp_path: Path) -> None:
    other = write_discs(tmp_path / "other", first=100, count=4)
    (other / "split.csv").unlink()
    assert len(segkit.evaluate(run.folder, other, device="cpu", quiet=True).per_image) == 4


def test_masks_stored_in_another_way_are_mapped(run: segkit.Run, tmp_path: Path) -> None:
    from PIL import Image

    other = write_discs(tmp_path / "other", first=100, count=4)
    (other / "split.csv").unlink()
    plain = segkit.evaluate(run.folder, other, device="cpu", quiet=True)
    for path in (other / "masks").iterdir():
        Image.fromarray(np.asarray(Image.open(path)) * np.uint8(200)).save(path)
    with pytest.raises(DataError, match=r"200"):
        segkit.evaluate(run.folder, other, device="cpu", quiet=True)
    mapped = segkit.evaluate(run.folder, other, device="cpu", quiet=True, map={200: 1})
    assert mapped.score == plain.score
    with pytest.raises(UsageError, match=r"--map: the model has no class 2; its ids are 0, 1"):
        segkit.evaluate(run.folder, other, device="cpu", quiet=True, map={200: 2})


def test_a_resumed_run_is_the_same_run(discs: Path, run: segkit.Run, tmp_path: Path) -> None:
    """A run whose last epochs are lost goes on to the same weights, bit for bit."""
    interrupted = tmp_path / "run"
    with pytest.raises(Interrupted) as caught:
        _train_until_epoch(2, discs, interrupted)
    assert caught.value.exit_code == 130
    resumed = segkit.train(output=interrupted, resume=True, quiet=True)
    expected, found = load_model_file(run.model_file)[1], load_model_file(resumed.model_file)[1]
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def _train_until_epoch(epoch: int, data: Path, output: Path) -> None:
    import os
    import signal

    from segkit.evaluation import evaluate as module

    calls = 0
    genuine = module.evaluate_heads

    def interrupting(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == epoch:
            os.kill(os.getpid(), signal.SIGINT)
        return genuine(*arguments, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("segkit.experiment.session.evaluate_heads", interrupting)
        segkit.train(data, output=output, epochs=3, **SMALL)  # type: ignore[arg-type]


def test_a_resume_needs_the_same_data(discs: Path, tmp_path: Path) -> None:
    data = tmp_path / "discs"
    shutil.copytree(discs, data)
    run = segkit.train(data, output=tmp_path / "run", epochs=1, **SMALL)  # type: ignore[arg-type]
    (data / "images" / "disc_00.png").write_bytes((data / "images" / "disc_09.png").read_bytes())
    (data / "images" / "disc_09.png").write_bytes((discs / "images" / "disc_00.png").read_bytes())
    with pytest.raises(DataError, match=r"has changed since .* began"):
        segkit.train(output=run.folder, resume=True, quiet=True)


def test_a_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--resume goes on with a run: name its folder with -o"):
        segkit.train(resume=True)
    with pytest.raises(UsageError, match=r"is no run folder: it has no config.yaml"):
        segkit.train(output=tmp_path, resume=True)


def test_settings_come_from_a_file_and_arguments_override_it(discs: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    model = "model:\n  backbone_options: {width: 4, depth: 2}\n"
    file.write_text(f"path: {discs}\ntraining:\n  epochs: 7\n  learning_rate: 0.002\n{model}")
    run = segkit.train(config=file, epochs=1, output=tmp_path / "run", device="cpu", workers=0, quiet=True)
    assert run.config.training.epochs == 1
    assert run.config.training.learning_rate == 0.002
    assert run.config.model.backbone_options["depth"] == 2


def test_wrong_settings_are_named_all_together(discs: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(f"path: {discs}\ntraining:\n  epoch: 7\nsampling:\n  crop: 4\n")
    with pytest.raises(ConfigError, match=r"training\.epoch.*Did you mean 'epochs'"):
        segkit.train(config=file)
    with pytest.raises(ConfigError, match=r"sampling\.crop.*greater than or equal to 16"):
        segkit.train(config=file)


def test_nothing_is_written_when_something_is_wrong(discs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown backbone 'plan'. Did you mean 'plain'"):
        segkit.train(discs, backbone="plan", output=tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(UsageError, match=r"name the data set to train on"):
        segkit.train(quiet=True)


def test_bad_data_is_refused_before_the_first_step(discs: Path, tmp_path: Path) -> None:
    data = tmp_path / "discs"
    shutil.copytree(discs, data)
    (data / "masks" / "disc_00.png").unlink()
    (data / "images" / "disc_01.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"(?s)2 errors.*disc_0") as caught:
        segkit.train(data, output=tmp_path / "run", epochs=1, **SMALL)  # type: ignore[arg-type]
    assert "disc_00" in str(caught.value)
    assert "disc_01" in str(caught.value)
    assert not (tmp_path / "run").exists()
