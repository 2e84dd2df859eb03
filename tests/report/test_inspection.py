"""The pages and pictures that show networks."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from benchmarks import model_pages
from segkit.errors import UsageError
from segkit.explanation.describe import describe
from segkit.explanation.inspection import inspect
from segkit.inference.predictor import Predictor
from segkit.models.published import PublishedScore, published_scores
from segkit.report.architecture import write_architecture
from segkit.report.chart import Point, write_chart
from segkit.report.inspection import claim_folder, write_inspection
from segkit.structures import ClassMap
from segkit.visualization.mosaic import filter_tiles, heat_over, mosaic
from tests.explanation.networks import SIDE, bright_classifier, bright_segmenter, write_image
from tests.inference.networks import plain_pipeline


@pytest.mark.parametrize("task", ["classify", "segment"])
def test_inspection_holds_every_picture_twice(tmp_path: Path, task: str) -> None:
    image = write_image(tmp_path / "image.png")
    inspection = inspect(bright_classifier() if task == "classify" else bright_segmenter(), image)
    page = write_inspection(inspection, "<model>", image.name, tmp_path / "out")
    text = page.read_text()
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert set(re.findall(r"<span>([^<]*\.png)</span>", text)) == files
    assert {"image.png", "filters.png", "activations/01_backbone.levels.0.0.0.png"} <= files
    assert sum(file.startswith("grad_cam_") for file in files) == sum(file.startswith("occlusion_") for file in files)
    assert len(re.findall(r'src="data:image/webp', text)) == len(files)
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "&lt;model&gt;" in text
    with Image.open(tmp_path / "out" / "image.png") as picture:
        assert picture.size == (SIDE, SIDE)
    with (tmp_path / "out" / "pictures.csv").open(newline="") as table:
        assert {row["picture"] for row in csv.DictReader(table)} == files


@pytest.mark.parametrize("other", ["index.html", "pictures.csv", "image.png"])
def test_a_folder_of_other_things_is_not_claimed(tmp_path: Path, other: str) -> None:
    (tmp_path / other).write_text("mine")
    with pytest.raises(UsageError, match="exists and is no result of segkit inspect; name another folder with -o"):
        claim_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [other]
    assert (tmp_path / other).read_text() == "mine"


def test_pictures_of_an_earlier_inspection_are_removed_and_nothing_else(tmp_path: Path) -> None:
    out = claim_folder(tmp_path / "out")
    earlier = inspect(bright_segmenter(), write_image(tmp_path / "image.png"))
    write_inspection(earlier, "model", "image.png", out)
    assert (out / "prediction.png").is_file()
    (out / "mine.png").write_bytes(b"kept")
    (tmp_path / "outside.png").write_bytes(b"kept")
    with (out / "pictures.csv").open("a") as table:
        table.write("../outside.png,edited by hand\n")
    later = inspect(bright_classifier(), tmp_path / "image.png")
    write_inspection(later, "model", "image.png", claim_folder(out))
    expected = {picture.file for group in later.groups.values() for picture in group}
    assert "prediction.png" not in expected
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.png")} == expected | {"mine.png"}
    assert (tmp_path / "outside.png").is_file()


def test_classes_of_one_file_name_have_a_picture_each(tmp_path: Path) -> None:
    predictor = bright_classifier()
    names = ClassMap(names=("cat/dog", "cat dog", "cat_dog"))
    predictor = Predictor(predictor.engine, predictor.pipeline, {"classify": names})
    groups = inspect(predictor, write_image(tmp_path / "image.png")).groups
    files = [picture.file for picture in groups["grad_cam"]]
    assert sorted(files) == [f"grad_cam_{index}_cat_dog.png" for index in range(3)]
    by_file = {picture.file: picture.caption for picture in groups["grad_cam"]}
    assert by_file["grad_cam_1_cat_dog.png"] == "cat dog"


def test_a_network_that_sees_the_middle_of_the_image_is_inspected(tmp_path: Path) -> None:
    predictor = bright_classifier()
    pipeline = plain_pipeline(size=(48, 48), keep_proportions=True, center_crop=(40, 40))
    predictor = Predictor(predictor.engine, pipeline, {"classify": predictor.classes})
    groups = inspect(predictor, write_image(tmp_path / "image.png")).groups
    for group in ("image", "grad_cam", "occlusion"):
        assert all(picture.pixels.shape == (40, 40, 3) for picture in groups[group])


def test_mosaic_and_tiles() -> None:
    tiles = [np.full((2, 2, 3), value, np.uint8) for value in (0, 100, 255)]
    sheet = mosaic(tiles, tile_side=6, columns=2)
    assert sheet.shape == (2 * 6 + 4, 2 * 6 + 4, 3)
    assert [int(sheet[row, column, 0]) for row, column in ((0, 0), (0, 12), (12, 0))] == [0, 100, 255]
    filters = np.arange(2 * 3 * 9, dtype=np.float32).reshape(2, 3, 3, 3)
    assert [tile.shape for tile in filter_tiles(filters)] == [(3, 3, 3)] * 2
    assert filter_tiles(filters)[0].max() == 255
    assert len(filter_tiles(filters[:, :2])) == 4
    gray = np.full((4, 4), 90, np.uint8)
    assert heat_over(gray, np.ones((4, 4), np.float32)).mean() > heat_over(gray, np.zeros((4, 4), np.float32)).mean()


def test_architecture_has_a_bar_of_the_maps_side_and_channels(tmp_path: Path) -> None:
    complexity = describe("vgg11", classes=10).complexity
    write_architecture(complexity, "vgg11", tmp_path / "vgg.svg")
    text = (tmp_path / "vgg.svg").read_text()
    assert "vgg11, 224 x 224, 129 M parameters" in text
    assert text.count("#0b7285") == 2 * (8 + 3) + 2  # above, below, and face and edge in the legend
    assert text.count("#e8590c") == 2 * 5 + 2
    with pytest.raises(UsageError, match=r"is no name of a picture; use .svg or .png"):
        write_architecture(complexity, "vgg11", tmp_path / "vgg.pdf")


def test_published_scores_are_torchvisions() -> None:
    scores = published_scores()
    assert len({score.backbone for score in scores}) == len(scores)
    theirs = [score for score in scores if score.source.startswith("torchvision")]
    for score in theirs:
        name, version = re.findall(r"(\w+_Weights)\.(\w+)", score.source)[0]
        meta = getattr(torchvision.models, name)[version].meta
        assert score.top1 == meta["_metrics"]["ImageNet-1K"]["acc@1"]
    # Krizhevsky et al. 2012, table 2, and He et al. 2015, table 3, print errors.
    printed = {score.backbone: round(100 - score.top1, 2) for score in scores if score not in theirs}
    assert printed == {"alexnet_two_tower": 40.7, "resnet50": 22.85, "resnet101": 21.75, "resnet152": 21.43}


def test_chart_shows_every_score_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = [score for score in published_scores() if score.backbone in {"vgg11", "resnet18", "alexnet_tv"}]
    monkeypatch.setattr("segkit.report.chart.published_scores", lambda: few)
    write_chart(tmp_path / "chart.html")
    text = (tmp_path / "chart.html").read_text()
    assert text.count("<svg") == 1
    for score, giga, million in zip(few, ("0.71", "7.61", "1.81"), ("61.1", "132.9", "11.7"), strict=True):
        row = next(line for line in text.splitlines() if f'"classname">{score.backbone}<' in line)
        assert all(value in row for value in (f"{score.top1:.1f}", f"{giga}&nbsp;G", f"{million}&nbsp;M", score.source))
    write_chart(tmp_path / "chart.png")
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.size == (1440, 896)
    with pytest.raises(UsageError, match=r"--chart chart.gif: the name ends in none of .png, .svg, .html"):
        write_chart("chart.gif")


def test_a_family_without_a_color_of_its_own_has_one() -> None:
    points = [Point(PublishedScore(name, 70, 224, ""), 1, 1) for name in ("vgg11", "smp/mobilenet_v2", "swin_t")]
    assert points[0].color != points[1].color == points[2].color


def test_pages_of_the_families_are_up_to_date() -> None:
    pages = sorted(model_pages.FOLDER.glob("*.md"))
    old = [page.name for page in pages if not model_pages.regenerate(page, write=False)]
    assert len(pages) > 10
    assert not old, "run: python -m benchmarks.model_pages"


def test_a_page_is_out_of_date_where_only_its_picture_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_pages, "FOLDER", tmp_path)
    page = tmp_path / "lenet.md"
    page.write_text("<!-- describe: lenet5 -->\n<!-- end -->")
    assert not model_pages.regenerate(page, write=True)
    assert model_pages.regenerate(page, write=False)
    picture = tmp_path / "images" / "lenet5.svg"
    picture.write_text(picture.read_text().replace("lenet5", "lenet4"))
    assert not model_pages.regenerate(page, write=False)
