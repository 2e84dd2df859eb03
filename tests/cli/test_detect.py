"""`segkit detect`: a table for people, one document for programs, files that are read back as a data set."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.opening import open_dataset
from segkit.data.samples import load_targets
from segkit.inference import loading
from segkit.inference.predictor import Predictor
from tests.cli.conftest import Ends
from tests.inference.test_objects import predictor
from tests.inference.test_objects import scene as draw_scene


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Predictor:
    """What is loaded whatever the name: a network that finds bright rectangles."""
    found = predictor(("detect", "classify"), convert="gray")
    monkeypatch.setattr(loading, "load", lambda *_, **__: found)
    return found


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images, the last one without objects."""
    folder = tmp_path / "out" / "images"
    folder.mkdir(parents=True)
    for seed, pixels in enumerate((draw_scene(120, 170, 0), draw_scene(100, 110, 1), np.zeros((20, 30, 1), np.uint8))):
        Image.fromarray(pixels[..., 0]).save(folder / f"{seed}.png")
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_json_is_one_document_with_every_box(
    segkit: Ends, model: Predictor, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segkit("detect", "model", images, "--json") == 0
    output = capsys.readouterr()
    assert output.err == ""
    rows = json.loads(output.out)
    assert [Path(row["image"]).name for row in rows] == ["0.png", "1.png", "2.png"]
    assert [(row["width"], row["height"]) for row in rows] == [(170, 120), (110, 100), (30, 20)]
    for row in rows:
        assert row["boxes"] == model.detect(row["image"]).to_table()
    assert [len(row["boxes"]) for row in rows] == [6, 4, 0]


def test_the_table_has_a_line_per_image_and_per_box(
    segkit: Ends, model: Predictor, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segkit("detect", "model", images / "1.png", images / "2.png", "--max-detections", "1") == 0
    first, box, second = capsys.readouterr().out.splitlines()
    assert first == f"{images / '1.png'}  1 box"
    assert second == f"{images / '2.png'}  0 boxes"
    surest = model.detect(images / "1.png").surest(1).to_table()[0]
    assert box.split()[:4] == [surest["class"], "1.00", "left", str(surest["left"])]


@pytest.mark.parametrize("layout", ["coco", "yolo"])
def test_files_beside_the_images_are_a_data_set(segkit: Ends, model: Predictor, images: Path, layout: str) -> None:
    out = images.parent
    assert segkit("detect", "model", images, "-o", out, "--format", layout) == 0
    dataset = open_dataset(out, DataConfig(format=layout), task="detect")
    assert dataset.errors == ()
    assert set(dataset.classes.names) == {"dim", "bright"}
    assert len(dataset.records) == 3
    for record in dataset.records:
        found = model.detect(images / f"{Path(record.id).name}.png").above(0.5)
        read = load_targets(record, dataset.heads).boxes
        assert read is not None
        named = [
            (dataset.classes.names[label], *box) for label, box in zip(read.labels, read.corners.tolist(), strict=True)
        ]
        expected = list(zip(found.names, *found.corners.T.tolist(), strict=True))
        assert [name for name, *_ in sorted(named)] == [name for name, *_ in sorted(expected)]
        np.testing.assert_allclose([box for _, *box in sorted(named)], [box for _, *box in sorted(expected)], atol=1e-3)


def test_the_table_and_the_pictures_of_a_folder(segkit: Ends, model: Predictor, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "found"
    assert segkit("detect", "model", images, "-o", out, "--overlay") == 0
    rows = rows_of(out / "boxes.csv")
    assert [row["image"] for row in rows] == ["0.png"] * 6 + ["1.png"] * 4
    assert list(rows[0]) == ["image", "class", "score", "left", "top", "right", "bottom"]
    for file in images.iterdir():
        with Image.open(out / "overlays" / file.name) as drawn, Image.open(file) as original:
            assert drawn.size == original.size
            assert (np.asarray(drawn).max(axis=2) != np.asarray(original)).any() == (file.name != "2.png")
    assert {path.name for path in out.iterdir()} == {"boxes.csv", "overlays"}
    assert segkit("detect", "model", images, "-o", out) == 0, "results are taken up again"


def test_bad_files_are_rows_of_errors_and_the_rest_goes_on(
    segkit: Ends, model: Predictor, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "0.png").write_bytes(b"no image")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(images / "2.png")
    assert segkit("detect", "model", images, "--json") == 1
    output = capsys.readouterr()
    rows = json.loads(output.out)
    assert [("error" in row, Path(row["image"]).name) for row in rows] == [
        (False, "1.png"),
        (True, "0.png"),
        (True, "2.png"),
    ]
    title, first, second = output.err.splitlines()
    assert title == "2 of 3 images could not be searched for boxes:"
    assert first.startswith(f"  cannot read {images / '0.png'}: ")
    assert second.startswith(f"  {images / '2.png'}: the image has 4 channels, the model takes 1")
    assert segkit("detect", "model", images, "-o", tmp_path / "found", "--format", "coco") == 1
    assert [Path(row["image"]).name for row in rows_of(tmp_path / "found" / "errors.csv")] == ["0.png", "2.png"]
    assert len(json.loads((tmp_path / "found" / "boxes.json").read_text())["images"]) == 1


def test_what_was_found_before_an_interruption_is_in_the_table(
    segkit: Ends, model: Predictor, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine, calls = Predictor.detect, list[int]()

    def end_at_the_second(one: Predictor, image: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return genuine(one, image)  # type: ignore[arg-type]

    monkeypatch.setattr(Predictor, "detect", end_at_the_second)
    assert segkit("detect", "model", images, "-o", tmp_path / "found") == 130
    assert {row["image"] for row in rows_of(tmp_path / "found" / "boxes.csv")} == {"0.png"}


@pytest.mark.parametrize("theirs", ["labels/0.txt", "boxes.csv", "data.yaml", "boxes.json"])
def test_a_data_sets_own_files_are_never_replaced(
    segkit: Ends, model: Predictor, images: Path, capsys: pytest.CaptureFixture[str], theirs: str
) -> None:
    """`detect images -o .` in a data set would write over the boxes that people drew."""
    file = images.parent / theirs
    file.parent.mkdir(exist_ok=True)
    file.write_text("image,class,x_min,y_min,x_max,y_max\n")
    assert segkit("detect", "model", images, "-o", images.parent, "--format", "yolo") == 2
    name = theirs.split("/")[0]
    assert f"{name} exists and is no result of segkit detect; name another folder" in capsys.readouterr().err
    assert file.read_text() == "image,class,x_min,y_min,x_max,y_max\n"


def test_options_that_have_no_place(
    segkit: Ends, model: Predictor, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, message in (
        (("--format", "coco"), "'--format' writes files; name their folder with -o"),
        (("--overlay",), "'--overlay' writes files; name their folder with -o"),
        (
            ("--json", "-o", tmp_path / "x"),
            "'--json' prints the boxes and -o writes them into files; give one of the two",
        ),
    ):
        assert segkit("detect", "model", images, *options) == 2
        assert message in capsys.readouterr().err
    model.heads = predictor(("segment", "classify")).heads
    assert segkit("detect", "model", images) == 2
    assert "model finds no boxes, its task is segment and classify; use: segkit predict" in capsys.readouterr().err


def test_more_boxes_than_the_models_own(
    segkit: Ends, model: Predictor, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = model.pipeline.objects.model_copy(update={"max_detections": 2})
    model.pipeline = model.pipeline.model_copy(update={"objects": rule})
    for options, count in (((), 2), (("--threshold", "0", "--max-detections", "50"), 6)):
        segkit("detect", "model", images / "0.png", "--json", *options)
        boxes = json.loads(capsys.readouterr().out)[0]["boxes"]
        assert len([box for box in boxes if box["score"] > 0.5]) == count
