"""`segkit classify`: a table for people, one document for programs, bad files at the end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from segkit.cli.classify import print_table
from segkit.inference.loading import load
from segkit.modelfile import ModelCard, save_model_file
from segkit.models.factory import create_model
from tests.cli.conftest import Ends
from tests.inference.networks import class_map, plain_pipeline
from tests.inference.test_loading import save


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A classifier of seven classes with random weights."""
    network = create_model(num_classes=7, task="classify", backbone_options={"width": 4, "depth": 2})
    card = ModelCard(
        heads={"classify": class_map(7).to_dict()},
        model=network.config.model_dump(mode="json"),
        pipeline=plain_pipeline(size=(16, 16)).model_dump(mode="json"),
    )
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    save_model_file(tmp_path / "classifier.safetensors", tensors, card)
    return tmp_path / "classifier.safetensors"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_json_is_one_document_with_every_image(
    segkit: Ends, model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segkit("classify", model, photos / "*.png", photos / "2.png", "--json", "--top", "2", "--device", "cpu") == 0
    output = capsys.readouterr()
    assert output.err == ""
    rows = json.loads(output.out)
    assert [Path(row["image"]).name for row in rows] == ["0.png", "1.png", "2.png"]
    predictor = load(model, device="cpu")
    for row in rows:
        expected = predictor.classify(row["image"]).top(2)
        assert row == {
            "image": row["image"],
            "classes": [{"name": name, "probability": share} for name, share in expected],
        }


def test_an_image_has_the_same_bits_alone_and_among_others(
    segkit: Ends, model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    segkit("classify", model, photos, "--json", "--device", "cpu")
    together = json.loads(capsys.readouterr().out)[1]
    segkit("classify", model, photos / "1.png", "--json", "--device", "cpu")
    assert json.loads(capsys.readouterr().out) == [together]


def test_bad_files_are_listed_at_the_end(
    segkit: Ends, model: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "0.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(photos / "2.png")
    assert segkit("classify", model, photos, "--device", "cpu") == 1
    output = capsys.readouterr()
    (line,) = output.out.splitlines()
    assert line.startswith(f"{photos / '1.png'}  class ")
    assert line.count("%") == 5
    title, first, second = output.err.splitlines()
    assert title == "2 of 3 images could not be classified:"
    assert first.startswith(f"  cannot read {photos / '0.png'}: ")
    assert second.startswith(f"  {photos / '2.png'}: the image has 4 channels, the model takes 3")
    assert segkit("classify", model, photos, "--json", "--device", "cpu") == 1
    rows = json.loads(capsys.readouterr().out)
    assert [set(row) for row in rows] == [{"image", "error"}, {"image", "classes"}, {"image", "error"}]


def test_a_document_that_is_cut_short_is_still_one(
    segkit: Ends, model: Path, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from segkit.inference.predictor import Predictor

    genuine = Predictor.classify

    def end_at_the_last(predictor: Predictor, image: Path) -> object:
        if image.name == "2.png":
            raise KeyboardInterrupt
        return genuine(predictor, image)

    monkeypatch.setattr(Predictor, "classify", end_at_the_last)
    assert segkit("classify", model, photos, "--json", "--device", "cpu") == 130
    assert [Path(row["image"]).name for row in json.loads(capsys.readouterr().out)] == ["0.png", "1.png"]


def test_a_segmentation_model_is_named_as_such(
    segkit: Ends, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "m.safetensors")
    assert segkit("classify", tmp_path / "m.safetensors", photos) == 2
    assert "predicts masks, it does not classify; use: segkit predict" in capsys.readouterr().err


def test_the_table_comes_row_by_row_and_keeps_its_columns() -> None:
    """Long paths lose their beginning, long names their end; every row is printed before the next is computed."""
    screen = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    images = ["a.png", "folder/" * 12 + "the_last.png", "broken.png"]
    printed: list[int] = []

    def rows() -> Iterator[dict[str, object]]:
        for image in images[:2]:
            assert isinstance(screen.file, io.StringIO)
            printed.append(len(screen.file.getvalue().splitlines()))
            yield {
                "image": image,
                "classes": [{"name": "cat", "probability": 0.75}, {"name": "dog", "probability": 0.25}],
            }
        yield {"image": images[2], "error": "damaged"}

    print_table(screen, rows(), images, ["cat", "dog", "a name that is longer than a fifth of the screen"])
    assert isinstance(screen.file, io.StringIO)
    lines = screen.file.getvalue().splitlines()
    assert printed == [1, 2]
    header, first, second, third = lines
    assert header.split() == ["image", "class", "further", "classes"]
    assert first.startswith("a.png")
    assert second.startswith("…")
    assert "the_last.png" in second
    assert third.split() == ["broken.png", "error"]
    assert {line.index("75.0%") for line in (first, second)} == {first.index("75.0%")}
    assert {line.index("cat") for line in (first, second)} == {header.index("class")}
    assert "dog 25.0%" in first
    assert "█" * 9 in first, "three quarters of twelve characters"
