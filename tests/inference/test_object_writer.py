"""What `segkit predict` leaves of models that find objects: ids, tables, COCO files, pictures."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from segkit.data.image_io import read_image
from segkit.errors import UsageError
from segkit.inference import jobs
from segkit.inference.writer import write_predictions
from segkit.structures import TASKS
from tests.inference.test_objects import predictor, scene


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two images of one stem in two folders, and one that is none."""
    paths = [tmp_path / "in" / name for name in ("left/a.png", "right/a.png", "b.png")]
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene(120, 110 + 50 * seed, seed)[..., 0]).save(path)
    paths[2].write_bytes(b"none")
    return paths


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def ids_in(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        assert image.mode == "I;16"
        return np.asarray(image)


def test_objects_are_a_16_bit_image_a_table_and_run_lengths(tmp_path: Path, files: list[Path]) -> None:
    out, one = tmp_path / "out", predictor(("instances",))
    summary = write_predictions(one, files, out, overlay=True)
    assert list(summary.errors) == [files[2]]
    names = {path.name for path in out.iterdir()}
    assert names == {"instances", "objects.csv", "objects.json", "overlays", "summary.csv", "errors.csv", ".predicted"}
    coco, table = COCO(str(out / "objects.json")), rows_of(out / "objects.csv")
    assert [image["file_name"] for image in coco.dataset["images"]] == ["left/a.png", "right/a.png"]
    assert [category["name"] for category in coco.dataset["categories"]] == ["cell"]
    for number, name in enumerate(("left/a", "right/a"), start=1):
        expected = one.instances(tmp_path / "in" / f"{name}.png")
        ids = ids_in(out / "instances" / f"{name}.png")
        np.testing.assert_array_equal(ids, expected.ids)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[number]))
        assert len(annotations) == len(expected) > 3
        for object_id, annotation in enumerate(annotations, start=1):
            np.testing.assert_array_equal(coco_mask.decode(annotation["segmentation"]), ids == object_id)
        rows = [row for row in table if row["image"] == f"{name}.png"]
        assert [int(row["area"]) for row in rows] == np.bincount(ids.ravel())[1:].tolist()
        with Image.open(out / "overlays" / f"{name}.png") as drawn:
            assert drawn.size == ids.shape[::-1]
    assert [(row["class"], int(row["objects"])) for row in rows_of(out / "summary.csv")] == [
        ("cell", len(coco.getAnnIds(imgIds=[number]))) for number in (1, 2)
    ]


def test_every_head_leaves_its_own_and_the_network_runs_once_per_image(tmp_path: Path, files: list[Path]) -> None:
    out, one = tmp_path / "out", predictor(TASKS)
    write_predictions(one, files[:2], out, overlay=True, probabilities=True)
    assert one.engine.calls == 2  # type: ignore[attr-defined]
    assert {path.name for path in out.iterdir()} == {
        *("masks", "probabilities", "instances", "objects.csv", "objects.json"),
        *("boxes.csv", "boxes.json", "overlays", "summary.csv", ".predicted"),
    }
    boxes = rows_of(out / "boxes.csv")
    found = one.detect(files[0])
    assert [row["class"] for row in boxes if row["image"] == "left/a.png"] == found.above(0.5).names
    with Image.open(out / "masks" / "left" / "a.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask) > 0, ids_in(out / "instances" / "left" / "a.png") > 0)
    summary = [row for row in rows_of(out / "summary.csv") if row["image"] == str(files[0])]
    assert [row["head"] for row in summary] == ["segment"] * 2 + ["instances"] + ["detect"] * 2 + ["classify"] * 2
    assert int(summary[3]["objects"]) + int(summary[4]["objects"]) == len(found)
    assert float(summary[5]["probability"]) == pytest.approx(0.731059)
    picture = read_image(out / "overlays" / "left" / "a.png")
    assert picture.shape == (120, 110, 3)


def test_boxes_of_a_file_are_what_pycocotools_reads(tmp_path: Path, files: list[Path]) -> None:
    one = predictor(("detect",))
    write_predictions(one, files[:2], tmp_path / "out")
    coco = COCO(str(tmp_path / "out" / "boxes.json"))
    assert [category["name"] for category in coco.dataset["categories"]] == ["dim", "bright"]
    found = one.detect(files[1]).above(0.5)
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    sides = [[left, top, right - left, bottom - top] for left, top, right, bottom in found.corners.tolist()]
    assert [annotation["bbox"] for annotation in annotations] == sides
    assert [coco.cats[annotation["category_id"]]["name"] for annotation in annotations] == found.names


def test_slices_of_a_volume_are_images_of_their_own(tmp_path: Path) -> None:
    volume = np.zeros((60, 70, 3), np.uint8)
    volume[10:20, 30:50, 1] = 240
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([0.5, 0.25, 2, 1])), tmp_path / "scan.nii.gz")
    summary = write_predictions(predictor(("instances",)), [tmp_path / "scan.nii.gz"], tmp_path / "out")
    assert summary.files == 3
    assert "1 volume predicted slice by slice, each an image with objects of its own" in summary.describe()
    (row,) = rows_of(tmp_path / "out" / "objects.csv")
    assert row["area"] == "200"
    assert float(row["area_mm2"]) == pytest.approx(200 * 0.5 * 0.25)
    assert len(list((tmp_path / "out" / "instances").rglob("*.png"))) == 3


def test_more_objects_than_16_bits_number_are_an_error_of_that_image(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "MOST_OBJECTS", 5)
    summary = write_predictions(predictor(("instances",)), files[:2], tmp_path / "out")
    assert [file for file, error in summary.errors.items() if "a 16-bit image numbers" in error] == [files[1]]
    assert (tmp_path / "out" / "instances" / "left" / "a.png").exists()


@pytest.mark.parametrize("theirs", ["instances/a.png", "boxes.csv", "objects.json"])
def test_targets_of_others_are_never_replaced(tmp_path: Path, files: list[Path], theirs: str) -> None:
    file = tmp_path / "data" / theirs
    file.parent.mkdir(parents=True)
    file.write_text("drawn by hand")
    with pytest.raises(UsageError, match=rf"{theirs.split('/')[0]} exists and is no result of segkit predict"):
        write_predictions(predictor(TASKS), files, tmp_path / "data")
    assert file.read_text() == "drawn by hand"


def test_probabilities_need_a_mask(tmp_path: Path, files: list[Path]) -> None:
    with pytest.raises(
        UsageError, match="'--probabilities' are those of a mask's classes, and the model's task is detect"
    ):
        write_predictions(predictor(("detect",)), files, tmp_path / "out", probabilities=True)
