"""A model of several heads is scored by the targets there are, and what was not scored is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import segkit
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.errors import UsageError
from segkit.modelfile import ModelCard, save_model_file
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from segkit.structures import TaskName
from tests.inference.networks import plain_pipeline

HEADS: tuple[TaskName, ...] = ("segment", "detect", "classify")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "sample"
    write_sample(out, count=6, size=64)
    return out


@pytest.fixture(scope="module")
def model(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of three heads with random weights."""
    dataset = open_dataset(sample, heads=HEADS)
    network = ModelConfig(
        heads={task: classes.num_classes for task, classes in dataset.heads.items()},
        in_channels=1,
        backbone_options={"width": 4},
    )
    torch.manual_seed(0)
    state = build_model(network).state_dict()
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    card = ModelCard(
        heads={task: classes.to_dict() for task, classes in dataset.heads.items()},
        model=network.model_dump(mode="json"),
        pipeline=plain_pipeline(1, stride_multiple=32).model_dump(mode="json"),
    )
    save_model_file(path, {name: value.contiguous().numpy() for name, value in state.items()}, card)
    return path


def part_of(sample: Path, out: Path, *kept: str) -> Path:
    """The images with some of their targets."""
    for name in ("images", *kept):
        copy = shutil.copytree if (sample / name).is_dir() else shutil.copy
        copy(sample / name, out / name)
    return out


def test_every_head_has_its_scores(
    model: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = segkit.evaluate(model, sample, split="all", output=tmp_path / "out")
    said = capsys.readouterr().out
    assert found.task == "segment"
    assert list(found.scores["further"]) == ["detect", "classify"]
    written = json.loads((tmp_path / "out" / "detect" / "metrics.json").read_text())
    assert found.scores["further"]["detect"] == written
    assert "further" not in json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert all(f"to {head}:" in said for head in HEADS)
    assert "not scored" not in said


def test_heads_without_targets_are_left_out_and_named(
    model: Path, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "masks-alone").mkdir()
    masks = part_of(sample, tmp_path / "masks-alone", "masks", "classes.csv")
    found = segkit.evaluate(model, masks, split="all")
    assert (found.task, found.scores["images"]) == ("segment", 6)
    assert "further" not in found.scores
    assert "not scored, as these images have no targets: detect, classify" in capsys.readouterr().out
    (tmp_path / "boxes-alone").mkdir()
    boxes = part_of(sample, tmp_path / "boxes-alone", "boxes.csv")
    found = segkit.evaluate(model, boxes, split="all", output=tmp_path / "out")
    assert (found.task, found.scores["images"]) == ("detect", 6)
    assert "not scored, as these images have no targets: segment, classify" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["task"] == "detect"


def test_each_head_is_scored_on_the_images_that_have_its_target(model: Path, sample: Path, tmp_path: Path) -> None:
    data = part_of(sample, tmp_path, "masks", "classes.csv", "labels.csv")
    rows = (data / "labels.csv").read_text().splitlines()
    (data / "labels.csv").write_text("\n".join(rows[:4]) + "\n")
    next(iter((data / "masks").iterdir())).unlink()
    found = segkit.evaluate(model, data, split="all", quiet=True)
    assert (found.scores["images"], found.scores["further"]["classify"]["images"]) == (5, 3)


def test_data_without_any_of_the_targets_is_refused(model: Path, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    nothing = part_of(sample, tmp_path / "set")
    with pytest.raises(UsageError, match="set"):
        segkit.evaluate(model, nothing, split="all", quiet=True)
