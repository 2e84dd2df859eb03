"""Evaluating a model file: what is scored, what is said of it, and what is written where."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

import segkit
from segkit.data.opening import OpenDataset, open_dataset
from segkit.errors import DataError, UsageError
from segkit.experiment.evaluate import choose_records
from segkit.inference.predictor import Predictor
from segkit.modelfile import ModelCard, save_model_file
from segkit.models.config import ModelConfig
from segkit.models.factory import build_model
from tests.experiment.conftest import write_discs
from tests.inference.networks import Recorder, plain_pipeline


def hashes(dataset: OpenDataset, numbers: Sequence[int]) -> list[str]:
    return [dataset.facts.images[f"disc_{number:02d}"].pixel_hash for number in numbers]


def card_knowing(dataset: OpenDataset, **parts: Sequence[int]) -> ModelCard:
    """The card of a model whose parts held these discs."""
    network = ModelConfig(heads={"segment": 2}, in_channels=1, backbone_options={"width": 4, "depth": 2})
    return ModelCard(
        heads={"segment": dataset.classes.to_dict()},
        model=network.model_dump(mode="json"),
        pipeline=plain_pipeline(1, stride_multiple=2).model_dump(mode="json"),
        data={"hashes": {part: hashes(dataset, numbers) for part, numbers in parts.items()}},
    )


def predictor_knowing(dataset: OpenDataset, **parts: Sequence[int]) -> Predictor:
    return Predictor(Recorder(2), plain_pipeline(1), {"segment": dataset.classes}, card=card_knowing(dataset, **parts))


@pytest.fixture
def model(discs: Path, tmp_path: Path) -> Path:
    """A network of random weights that says it was trained on the discs' own parts."""
    dataset = open_dataset(discs)
    card = card_knowing(dataset, train=range(8), val=range(8, 11), test=range(11, 14))
    torch.manual_seed(0)
    state = build_model(ModelConfig.parse(card.model)).state_dict()
    save_model_file(tmp_path / "m.safetensors", {name: value.numpy() for name, value in state.items()}, card)
    return tmp_path / "m.safetensors"


def test_images_the_model_does_not_know_are_left_out_and_that_is_said(discs: Path) -> None:
    dataset = open_dataset(discs)
    chosen = choose_records(predictor_knowing(dataset, train=range(8), test=(9, 12)), dataset, None)
    assert (chosen.part, [record.id for record in chosen.records]) == (
        "the model's own test part",
        ["disc_09", "disc_12"],
    )
    assert chosen.notes == (
        "4 images left out: in no part of the model's own data, where others are; '--split all' scores every image",
    )
    (note,) = choose_records(predictor_knowing(dataset, train=range(8), test=range(9, 14)), dataset, "test").notes
    assert note.startswith("1 image left out")


def test_nothing_is_left_out_of_data_wholly_known_or_wholly_unknown(discs: Path) -> None:
    dataset = open_dataset(discs)
    known = choose_records(predictor_knowing(dataset, train=range(8), val=range(8, 14)), dataset, "val")
    assert (len(known.records), known.notes) == (6, ())
    unknown = choose_records(predictor_knowing(dataset), dataset, None)
    assert (unknown.part, len(unknown.records), unknown.notes) == ("test, unknown to the model", 3, ())
    assert len(choose_records(predictor_knowing(dataset, train=range(8)), dataset, "all").records) == 14


def test_what_was_trained_on_is_refused(discs: Path) -> None:
    dataset = open_dataset(discs)
    with pytest.raises(DataError, match="the model was trained on 8 of the images"):
        choose_records(predictor_knowing(dataset, train=range(8), test=(9,)), dataset, "train")
    with pytest.raises(UsageError, match="holds no image of the model's own val part; use '--split all'"):
        choose_records(predictor_knowing(dataset, train=range(8), test=(9,)), dataset, "val")


def test_the_scores_say_of_what_they_are(model: Path, discs: Path, tmp_path: Path) -> None:
    evaluation = segkit.evaluate(
        model, discs, output=tmp_path / "out", device="cpu", quiet=True, allow=["size-mismatch"]
    )
    assert evaluation.scores["evaluated"] == {
        "model": str(model.resolve()),
        "data": str(discs.resolve()),
        "part": "the model's own test part",
        "engine": "torch, cpu, fp32",
        "allowed": ["size-mismatch"],
    }
    assert json.loads((tmp_path / "out" / "metrics.json").read_text()) == evaluation.scores


def test_views_and_several_models_are_scored_as_one(model: Path, discs: Path) -> None:
    one, several = (
        segkit.evaluate(models, discs, device="cpu", quiet=True, tta="flips").scores for models in (model, [model] * 3)
    )
    assert one["evaluated"]["engine"] == "torch, cpu, fp32, mean of 2 views (flips)"
    assert several["evaluated"]["engine"] == "ensemble of 3 networks, torch, cpu, fp32, mean of 2 views (flips)"
    assert several["evaluated"]["model"] == " + ".join([str(model.resolve())] * 3)
    assert several["score"] == pytest.approx(one["score"], abs=0.001)


def test_how_the_data_was_read_is_said_with_its_warnings(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_discs(tmp_path / "other", first=100, count=4)
    (other / "masks" / "disc_100.png").unlink()
    (other / "split.csv").unlink()
    with pytest.raises(DataError, match="error missing-mask"):
        segkit.evaluate(model, other, device="cpu")
    segkit.evaluate(model, other, device="cpu", allow=["missing-mask"])
    said = capsys.readouterr().out
    assert "read as: mask folder" in said
    assert "classes: background, foreground; background: background" in said
    assert "warning missing-mask: " in said
    assert "(allowed: the images are left out)" in said
    assert "evaluating 3 images (" in said


def test_a_folder_of_others_is_refused_and_an_earlier_evaluation_replaced(
    model: Path, discs: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    segkit.evaluate(model, discs, output=tmp_path / "mine", device="cpu", quiet=True)
    before = (tmp_path / "mine" / "metrics.json").read_text()
    segkit.evaluate(model, discs, output=tmp_path / "mine", split="val", device="cpu", quiet=True)
    assert (tmp_path / "mine" / "metrics.json").read_text() != before
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "metrics.json").write_text('{"accuracy": 1.0}')
    for output in (tmp_path / "theirs", discs, model):
        with pytest.raises(UsageError, match=r"exists and is no earlier evaluation; name another folder with -o"):
            segkit.evaluate(model, discs, output=output, device="cpu", quiet=True)
    assert (tmp_path / "theirs" / "metrics.json").read_text() == '{"accuracy": 1.0}'


def test_tolerance_of_outlines(model: Path, discs: Path) -> None:
    by_default, wide = (
        segkit.evaluate(model, discs, device="cpu", quiet=True, tolerance=tolerance).scores["boundary"]
        for tolerance in (None, 100)
    )
    assert (by_default["tolerance"], wide["tolerance"]) == (2, 100)
    assert wide["nsd"]["value"] == 1
    assert wide["hd95"] == by_default["hd95"]
    for wrong in (-1, float("nan")):
        with pytest.raises(UsageError, match=r"--tolerance (-1|nan): expected a distance of 0 or more"):
            segkit.evaluate(model, discs, device="cpu", quiet=True, tolerance=wrong)
