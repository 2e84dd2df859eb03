"""Bad input on the command line: one line for each mistake, the documented exit code, nothing lost or half done."""

from __future__ import annotations

import errno
import json
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from segkit.cli import main
from segkit.modelfile import load_model_file

TINY = ("--backbone-option", "width=4,depth=2", "--batch-size", "2", "--workers", "0", "--device", "cpu")
SIZE = (24, 20)


@dataclass(frozen=True)
class Left:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def line(self, code: int) -> str:
        """The one line of the error, after its exit code was checked."""
        assert self.code == code, self.err
        assert self.err.startswith("error: "), self.err
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        assert "should not happen" not in self.err
        return self.err


Command = Callable[..., Left]


@pytest.fixture
def segkit(capfd: pytest.CaptureFixture[str]) -> Command:
    """`segkit("train", data, "-q")` runs the command."""

    def run(*words: str | Path) -> Left:
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in words])
        assert isinstance(left.value.code, int)
        return Left(left.value.code, *capfd.readouterr())

    return run


def write_set(folder: Path, count: int = 6, values: tuple[int, ...] = (0, 1, 2)) -> Path:
    """RGB images with masks of the values, pixels at random."""
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        Image.fromarray(generator.integers(0, 256, (*SIZE, 3)).astype(np.uint8)).save(folder / f"images/{number}.png")
        Image.fromarray(generator.choice(np.array(values, np.uint8), SIZE)).save(folder / f"masks/{number}.png")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_set(tmp_path / "data")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; its data set lies beside it."""
    place = tmp_path_factory.mktemp("trained")
    words = ["train", write_set(place / "data"), "-o", place / "run", *TINY, "--epochs", "1", "-q"]
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert left.value.code == 0
    return place / "run"


# --- the data set


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def as_cut_jpeg(path: Path) -> None:
    with Image.open(path) as image:
        image.convert("RGB").save(path.with_suffix(".jpg"))
    path.unlink()
    cut_in_half(path.with_suffix(".jpg"))


@pytest.mark.parametrize(
    ("file", "spoil", "code", "message"),
    [
        ("images/1.png", cut_in_half, "unreadable-image", "images/1.png: damaged or cut short"),
        ("images/1.png", as_cut_jpeg, "unreadable-image", "images/1.jpg: damaged or cut short"),
        ("images/1.png", lambda path: path.write_text("text"), "unreadable-image", "it is no image of a kind"),
        ("images/1.png", lambda path: path.write_bytes(b""), "unreadable-image", "the file is empty (0 bytes)"),
        ("masks/1.png", lambda path: path.write_bytes(b""), "unreadable-mask", "the file is empty (0 bytes)"),
        ("masks/1.png", Path.unlink, "missing-mask", "images/1.png"),
        ("masks/1.png", lambda path: Image.new("L", (7, 7)).save(path), "size-mismatch", "image 20 x 24, mask 7 x 7"),
        ("masks/1.png", lambda path: Image.new("L", (20, 24), 9).save(path), "gap-in-ids", "give '--map 9=3'"),
        ("images/1.png", lambda path: Image.new("L", (20, 24)).save(path), "channels-differ", "'--channels rgb'"),
    ],
)
def test_a_spoilt_file_is_named_by_check_and_refused_by_train(
    segkit: Command, data: Path, file: str, spoil: Callable[[Path], None], code: str, message: str
) -> None:
    spoil(data / file)
    checked = segkit("check", data, "--json")
    (found,) = [found for found in json.loads(checked.out)["findings"] if found["severity"] == "error"]
    assert (checked.code, checked.err, found["code"]) == (1, "", code)
    refused = segkit("train", data, *TINY, "-o", data.parent / "run", "-q")
    assert refused.code == 1
    assert message in refused.err
    assert [line for line in refused.err.splitlines() if line.startswith("  error")] == refused.err.splitlines()[1:2]
    assert not (data.parent / "run").exists()


@pytest.mark.parametrize("command", ["check", "train"])
def test_folders_that_are_no_data_set(segkit: Command, tmp_path: Path, command: str) -> None:
    assert "nowhere does not exist; name a folder" in segkit(command, tmp_path / "nowhere").line(2)
    assert "has no layout segkit knows; expected images/ + masks/" in segkit(command, tmp_path).line(2)


# --- options and settings


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--epoch", "3"], "--epochs"),
        (["--backbone", "smp/resnet4"], "unknown backbone 'smp/resnet4'. Did you mean 'smp/resnet34'?"),
        (["--decoder", "unett"], "unknown decoder 'unett'. Did you mean 'unet'?"),
        (["--backbone-option", "widht=3"], "Did you mean 'width'?"),
        (["--loss", "dicee"], "unknown loss 'dicee'. Did you mean 'dice'?"),
        (["--class-weights", "1,2"], "class weights 1, 2 were given for 3 classes"),
        (["--class-weights", "1,nan,2"], "every weight is a number above 0"),
        (["--epochs", "0"], "epochs: should be greater than or equal to 1 (given: 0)"),
        (["--epochs", "2", "--budget", "1m"], "--epochs 2 and --budget 1m both end the run; give one of them"),
        (["--batch-size", "0"], "should be greater than or equal to 1 (given: 0)"),
        (["--crop", "7"], "crop: should be greater than or equal to 16 (given: 7)"),
        (["--learning-rate", "-1"], "should be greater than 0 (given: -1.0)"),
        (["--learning-rate", "nan"], "should be a finite number (given: nan)"),
        (["--workers", "-1"], "workers: should be greater than or equal to 0 (given: -1)"),
        (["--split", "100/0/0"], "--split 100/0/0: train and val need shares above 0"),
        (["--map", "1=9"], "--map 1=9: no mask value becomes the class 1"),
        (["--map", "1=0", "--ignore", "1"], "the mask value 1 is to be ignored and mapped to a class"),
        (["--device", "abacus"], "'--device abacus' is no device; allowed: auto, cpu, cuda"),
        (["--weights", "nowhere.safetensors"], "no file 'nowhere.safetensors'"),
    ],
)
def test_a_wrong_option_is_one_line_and_leaves_nothing(
    segkit: Command, data: Path, words: list[str], message: str
) -> None:
    given = ["train", data, *TINY, "-o", data.parent / "run", "-q", *words]
    assert message in segkit(*given).line(2)
    assert not (data.parent / "run").exists()


def test_all_mistakes_of_a_configuration_are_said_at_once(segkit: Command, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("model: 3\ntrainng: {}\nsampling: {crop: seven}\n")
    line = segkit("train", data, *TINY[2:], "--backbone", "plain", "--config", file).line(2)
    assert f"error: {file} and options: " in line
    assert "model: should be names with values (given: 3)" in line
    assert "unknown key 'trainng'. Did you mean 'training'?" in line
    assert "sampling.crop: should be a whole number (given: 'seven')" in line


@pytest.mark.parametrize("flag", [["--epochs", "1"], ["--budget", "1s"]])
def test_a_flag_overrides_the_end_in_the_configuration(segkit: Command, data: Path, flag: list[str]) -> None:
    file = data.parent / "run.yaml"
    file.write_text("training: {epochs: 5000}\n" if flag[0] == "--budget" else "training: {budget_seconds: 5000}\n")
    assert segkit("train", data, *TINY, "--config", file, "-o", data.parent / "run", "-q", *flag).code == 0


def test_help_is_shown_without_a_command(segkit: Command) -> None:
    left = segkit()
    assert (left.code, left.err) == (2, "")
    assert "train" in left.out


def test_no_model_is_called_so(segkit: Command) -> None:
    assert "no name contains 'xyzzy'" in segkit("models", "xyzzy").line(2)


def test_a_sample_needs_a_seed_from_0_up(segkit: Command, tmp_path: Path) -> None:
    assert "'--seed'" in segkit("sample", tmp_path / "sample", "--seed", "-1").line(2)
    assert not (tmp_path / "sample").exists()


# --- outputs


def test_a_folder_that_exists_is_refused_before_the_data_is_read(segkit: Command, data: Path, trained: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    assert f"segkit train --resume -o {trained}" in segkit("train", data, "-o", trained).line(2)
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*")} == before
    assert "exists; name another folder with -o" in segkit("train", data / "nowhere", "-o", data).line(2)


@pytest.mark.parametrize("words", [["train", "DATA"], ["predict", "RUN", "DATA/images"], ["evaluate", "RUN", "DATA"]])
def test_a_file_in_the_place_of_a_folder(
    segkit: Command, tmp_path: Path, data: Path, trained: Path, words: list[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    paths = [word.replace("DATA", str(data)).replace("RUN", str(trained)) for word in words]
    split = ["--split", "all"] if words[0] == "evaluate" else []
    assert "Not a directory" in segkit(*paths, *split, "-o", tmp_path / "file" / "out", "-q").line(1)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_no_half_run(
    segkit: Command, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes a folder a run to resume comes last."""
    from segkit.experiment import run as module
    from segkit.ops.files import write_atomically

    def full(path: Path, content: bytes) -> None:
        monkeypatch.setattr(Path, "open", _no_space)
        write_atomically(path, content)

    monkeypatch.setattr(module, "write_atomically", full)
    assert "No space left on device" in segkit("train", data, *TINY, "-o", tmp_path / "run", "-q").line(1)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["log.txt"]
    assert "is no run folder: it has no config.yaml" in segkit("train", "--resume", "-o", tmp_path / "run").line(2)


def _no_space(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_anywhere_is_no_defect_of_segkit(segkit: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.cli.models.json.dumps", _no_space)
    assert "No space left on device; look at the disk" in segkit("models", "plain", "--json").line(1)


# --- resuming


def test_resume_takes_no_settings(segkit: Command, data: Path, trained: Path) -> None:
    for words in ([data], ["--epochs", "9"], ["--config", data / "run.yaml"], ["--backbone-option", "width=8"]):
        assert "--resume goes on with a run as it began" in segkit("train", "--resume", "-o", trained, *words).line(2)
    assert "name its folder with -o" in segkit("train", "--resume").line(2)
    assert "is no run folder" in segkit("train", "--resume", "-o", data).line(2)


def test_resume_of_a_finished_run_and_of_one_killed_before_its_first_checkpoint(
    segkit: Command, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    assert segkit("train", "--resume", "-o", run, "-q").code == 0
    shutil.rmtree(run / "checkpoints")
    (run / "model.safetensors").unlink()
    assert segkit("train", "--resume", "-o", run, "-q").code == 0
    first, second = (load_model_file(folder / "model.safetensors")[1] for folder in (trained, run))
    assert all(np.array_equal(first[name], second[name]) for name in first)


# --- models and predictions


def test_files_that_are_no_model(segkit: Command, trained: Path, tmp_path: Path, data: Path) -> None:
    whole = (trained / "model.safetensors").read_bytes()
    card, tensors = load_model_file(trained / "model.safetensors")
    newer = {"segkit": json.dumps({**card.model_dump(), "schema_version": 99})}
    for content, message in (
        (pickle.dumps({"a": 1}), "is a pickle file"),
        (whole[:200], "is damaged or was cut short"),
        (b"", "is no model file"),
        (safetensors.numpy.save(tensors, metadata=newer), "was written by a newer segkit (schema 99"),
        (safetensors.numpy.save(tensors), "is a safetensors file of another program"),
    ):
        (tmp_path / "m.safetensors").write_bytes(content)
        words = ["predict", tmp_path / "m.safetensors", data / "images", "-o", tmp_path / "out"]
        assert message in segkit(*words).line(2)
    assert not (tmp_path / "out").exists()


def test_good_and_bad_files(segkit: Command, trained: Path, data: Path, tmp_path: Path) -> None:
    (data / "images" / "1.png").write_text("text")
    Image.new("L", (9, 9)).save(data / "images" / "2.png")
    line = segkit("predict", trained, data / "images", "-o", tmp_path / "out", "-q").line(1)
    assert "4 of 6 images predicted" in line
    assert "2 failed, see" in line
    assert "1.png: its name ends in .png, but it is no image" in line
    assert sorted(path.name for path in (tmp_path / "out" / "masks").iterdir()) == ["0.png", "3.png", "4.png", "5.png"]
    only = segkit("predict", trained, data / "images" / "2.png", "-o", tmp_path / "out").line(1)
    assert "the image has 1 channel, the model takes 3" in only


def test_labels_are_never_replaced_by_predictions(segkit: Command, trained: Path, data: Path) -> None:
    before = {path: path.read_bytes() for path in (data / "masks").iterdir()}
    line = segkit("predict", trained, data / "images", "-o", data).line(2)
    assert "masks exists and is no result of segkit predict; name another folder with -o" in line
    assert {path: path.read_bytes() for path in (data / "masks").iterdir()} == before


def test_evaluating_what_says_nothing(segkit: Command, trained: Path, tmp_path: Path) -> None:
    line = segkit("evaluate", trained, trained.parent / "data", "--split", "train").line(1)
    assert "the model was trained on" in line
    assert "'--split all'" in line
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(tmp_path / "pets" / label / "a.png")
    line = segkit("evaluate", trained, tmp_path / "pets").line(2)
    assert "was trained to segment" in line
    assert "has targets to classify; name other data" in line
