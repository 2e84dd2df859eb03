"""Results as files: exact masks, tables that add up, and bad files that stop nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.errors import OutputError, UsageError
from segkit.inference import jobs
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.output_names import output_names
from segkit.inference.predictor import Predictor
from segkit.inference.writer import write_predictions
from tests.inference.networks import MeanColor, class_map, local_predictor, photo, plain_pipeline


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three images of different sizes."""
    paths = [tmp_path / "in" / f"{name}.png" for name in "abc"]
    paths[0].parent.mkdir()
    for seed, path in enumerate(paths):
        Image.fromarray(photo(20 + seed, 30, seed=seed)).save(path)
    return paths


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_files_hold_what_predict_returns(tmp_path: Path, files: list[Path]) -> None:
    predictor = local_predictor()
    summary = write_predictions(predictor, files, tmp_path / "out", overlay=True, probabilities=True)
    for file in files:
        expected = predictor.segment(file, probabilities=True)
        with Image.open(tmp_path / "out" / "masks" / file.name) as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.asarray(mask), expected.mask)
        with Image.open(tmp_path / "out" / "overlays" / file.name) as overlay:
            assert overlay.size == expected.mask.shape[::-1]
        with np.load(tmp_path / "out" / "probabilities" / f"{file.stem}.npz") as stored:
            assert np.array_equal(stored["probabilities"], np.asarray(expected.probabilities))
            assert stored["classes"].tolist() == list(predictor.classes.names)
    assert summary.describe() == f"3 of 3 images predicted; results in {tmp_path / 'out'}"


def test_summary_adds_up(tmp_path: Path, files: list[Path]) -> None:
    write_predictions(local_predictor(), files, tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "summary.csv")
    assert [row["image"] for row in rows[::4]] == [str(file) for file in files]
    assert [row["class"] for row in rows[:4]] == ["class 0", "class 1", "class 2", "class 3"]
    for seed in range(3):
        of_image = rows[4 * seed : 4 * seed + 4]
        assert sum(int(row["pixels"]) for row in of_image) == (20 + seed) * 30
        assert sum(float(row["share"]) for row in of_image) == pytest.approx(1, abs=1e-5)
    assert not (tmp_path / "out" / "errors.csv").exists()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"masks", "summary.csv", ".predicted"}


def test_bad_files_are_listed_and_the_rest_goes_on(tmp_path: Path, files: list[Path]) -> None:
    files[0].write_text("not an image")
    Image.fromarray(photo(9, 9, 1)[..., 0]).save(files[1])
    out, seen = tmp_path / "out", list[tuple[int, int]]()
    summary = write_predictions(local_predictor(), files, out, progress=lambda *done: seen.append(done))
    errors = {row["image"]: row["error"] for row in rows_of(out / "errors.csv")}
    assert list(errors) == [str(files[0]), str(files[1])]
    assert "cannot read" in errors[str(files[0])]
    assert "the image has 1 channel, the model takes 3" in errors[str(files[1])]
    assert [path.name for path in (out / "masks").iterdir()] == ["c.png"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    described = f"1 of 3 images predicted; results in {out}; 2 failed, see {out / 'errors.csv'}; the first: cannot read"
    assert summary.describe().startswith(described)


def test_errors_of_an_earlier_run_do_not_stay(tmp_path: Path, files: list[Path]) -> None:
    out = tmp_path / "out"
    write_predictions(local_predictor(), [*files, tmp_path / "absent.png"], out)
    assert (out / "errors.csv").exists()
    write_predictions(local_predictor(), files, out)
    assert not (out / "errors.csv").exists()


def test_inputs_are_never_overwritten(tmp_path: Path, files: list[Path]) -> None:
    masks = tmp_path / "masks"
    files[0].parent.rename(masks)
    inputs = [masks / file.name for file in files]
    before = [file.read_bytes() for file in inputs]
    with pytest.raises(UsageError, match=r"masks/a\.png is one of the images and would be overwritten; name another"):
        write_predictions(local_predictor(), inputs, tmp_path)
    assert [file.read_bytes() for file in inputs] == before


@pytest.mark.parametrize("theirs", ["masks/a.png", "summary.csv", "errors.csv"])
def test_files_of_others_are_never_replaced(tmp_path: Path, files: list[Path], theirs: str) -> None:
    """`predict cells/images -o cells` would write over the masks the cells were labelled with."""
    out = tmp_path / "cells"
    (out / theirs).parent.mkdir(parents=True)
    (out / theirs).write_text("drawn by hand")
    with pytest.raises(UsageError, match=rf"{theirs.split('/')[0]} exists and is no result of segkit predict"):
        write_predictions(local_predictor(), files, out)
    assert [path for path in out.rglob("*") if path.is_file()] == [out / theirs]
    assert (out / theirs).read_text() == "drawn by hand"


def test_a_killed_prediction_can_be_repeated(tmp_path: Path, files: list[Path]) -> None:
    """The table is there before the first mask."""
    out = tmp_path / "out"

    def kill(done: float, total: int) -> None:
        assert (out / "masks" / "a.png").exists()
        assert rows_of(out / "summary.csv") == []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_predictions(local_predictor(), files, out, progress=kill)
    assert write_predictions(local_predictor(), files, out).errors == {}


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["x/a.png", "x/b.tif"], ["a", "b"]),
        (["x/a.png", "y/b.png"], ["a", "b"]),
        (["x/a.png", "y/a.png"], ["x/a", "y/a"]),
        (["x/a.png", "x/deep/a.png", "x/c.png"], ["a", "deep/a", "c"]),
        (["x/a.png", "x/a.jpg"], ["a.png", "a.jpg"]),
        (["x/A.png", "y/a.png"], ["x/A", "y/a"]),  # one name on disks that ignore case
        ([], []),
    ],
)
def test_names_of_results(files: list[str], names: list[str]) -> None:
    assert list(output_names([Path(file) for file in files]).values()) == names


def test_equal_stems_keep_their_folders(tmp_path: Path) -> None:
    files = [tmp_path / "in" / folder / "a.png" for folder in ("left", "right")]
    for seed, file in enumerate(files):
        file.parent.mkdir(parents=True)
        Image.fromarray(photo(8 + seed, 8)).save(file)
    write_predictions(local_predictor(), files, tmp_path / "out", overlay=True)
    for seed, folder in enumerate(("left", "right")):
        with Image.open(tmp_path / "out" / "masks" / folder / "a.png") as mask:
            assert mask.size == (8, 8 + seed)


def test_output_that_cannot_be_a_folder(tmp_path: Path, files: list[Path]) -> None:
    with pytest.raises(OutputError, match=r"cannot make the folder .*; name another place"):
        write_predictions(local_predictor(), files, files[0] / "out")


def test_full_disk_stops_with_what_was_done_in_the_table(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def write_two(path: Path, *_: object) -> None:
        if len(written) == 2:
            raise OutputError(f"cannot write {path}: No space left on device")
        written.append(path)

    monkeypatch.setattr(jobs, "write_mask", write_two)
    with pytest.raises(OutputError, match="No space left on device"):
        write_predictions(local_predictor(), files, tmp_path / "out")
    assert {row["image"] for row in rows_of(tmp_path / "out" / "summary.csv")} == {str(files[0]), str(files[1])}


def test_classifier_writes_a_table(tmp_path: Path, files: list[Path]) -> None:
    Image.fromarray(np.full((4, 4, 3), (0, 255, 51), np.uint8)).save(files[0])
    predictor = Predictor(TorchEngine(MeanColor()), plain_pipeline(), {"classify": class_map(3)})
    write_predictions(predictor, files[:1], tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "summary.csv")
    assert [row["class"] for row in rows] == ["class 1", "class 2", "class 0"]
    assert sum(float(row["probability"]) for row in rows) == pytest.approx(1, abs=1e-5)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"summary.csv", ".predicted"}


@pytest.mark.parametrize("asked", ["overlay", "probabilities"])
def test_a_classifier_refuses_what_it_cannot_write(tmp_path: Path, files: list[Path], asked: str) -> None:
    predictor = Predictor(TorchEngine(MeanColor()), plain_pipeline(), {"classify": class_map(3)})
    with pytest.raises(UsageError, match=rf"'--{asked}' needs a model that predicts masks, and this one classifies"):
        write_predictions(
            predictor, files, tmp_path / "out", overlay=asked == "overlay", probabilities=asked == "probabilities"
        )
    assert not (tmp_path / "out").exists()
