"""Real data sets, as their authors laid them out: each passes the check and trains a network, from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.cli import main
from segkit.data.formats._base import list_records
from segkit.structures import PARTS, Record

SHORT = "--epochs 1 --crop 64 --batch-size 1 --draws-per-image 1 --workers 0 --device cpu --backbone-option width=8"


@dataclass(frozen=True)
class RealSet:
    """A data set of an archive, what is typed after its folder, and the metric of the task that follows."""

    archive: str
    options: str = ""
    metric: str = "mean foreground Dice"
    folder: str = "."

    def __str__(self) -> str:
        return f"{Path(self.archive, self.folder)} {self.options}".rstrip()


SETS = [
    RealSet("isbi2012_em"),
    RealSet("nuclei_dsb2018", "--map other=1 --channels rgb"),
    RealSet("nuclei_dsb2018", "--task instances --channels rgb", metric="AP@0.5"),
    RealSet("nuclei_dsb2018", folder="original_layout"),
    RealSet("coco_mini", "--channels rgb --allow class-without-training-pixels"),
    RealSet("bccd", metric="AP"),
    RealSet("annotation_formats", "--allow duplicate-across-splits", folder="labelme"),
    RealSet("annotation_formats", folder="labelme/video_annotation"),
]
LARGE = [
    RealSet("hrf_av"),
    RealSet("camvid"),
    RealSet("hippocampus_nifti"),
    RealSet("mnist", metric="top-1 accuracy"),
]


PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.mark.parametrize("real", [*SETS, *LARGE], ids=str)
def test_the_page_about_data_has_the_commands_of_every_set(real: RealSet) -> None:
    assert f"\nsegkit check {real}\nsegkit train {real}\n" in PAGE.read_text(encoding="utf-8")


def segkit(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert isinstance(left.value.code, int)
    return left.value.code


def train_on_few(root: Path, options: Sequence[str], place: Path) -> tuple[Path, Record]:
    """A run on one image for each part, from all over the set, and the one it was tested on."""
    records = list_records(root).records
    few = records[:: len(records) // len(PARTS)]
    parts = {part: [record.id] for part, record in zip(PARTS, few, strict=False)}
    (place / "few.json").write_text(json.dumps(parts))
    chosen = ("--split", place / "few.json", "--allow", "class-without-training-pixels")
    assert segkit("train", root, *options, *chosen, *SHORT.split(), "-o", place / "run") == 0
    return place / "run", few[2]


@pytest.mark.parametrize("real", [*SETS, *(pytest.param(one, marks=pytest.mark.slow) for one in LARGE)], ids=str)
def test_a_real_set_is_checked_and_trains(
    real: RealSet, datasets: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, options = datasets(real.archive) / real.folder, real.options.split()
    assert segkit("check", root, *options) == 0
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.startswith("0 errors, ")
    assert verdict.endswith(f"; ready: segkit train {root} {real.options}".rstrip())
    run, record = train_on_few(root, options, tmp_path)
    assert json.loads((run / "evaluation" / "metrics.json").read_text())["metric"] == real.metric
    assert (run / "report.html").stat().st_size > 0
    if record.image.is_file():  # not in a file of many
        assert segkit("predict", run, record.image, "-o", tmp_path / "found") == 0
        assert "1 of 1 images predicted" in capsys.readouterr().out


@pytest.fixture
def export(datasets: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder with nothing but a real export of Label Studio."""
    source = datasets("annotation_formats") / "label_studio" / "rotated_rectangles.json"
    shutil.copy(source, tmp_path / "export.json")
    return tmp_path


def test_an_export_without_its_pictures_says_where_they_go(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("check", export) == 1
    said = capsys.readouterr().err
    assert "name 3 images, and none is there, for example 'image1'" in said
    assert f"put them into {export}, or a folder in it" in said


def test_an_export_trains_once_pictures_of_the_stated_sizes_are_there(export: Path, tmp_path: Path) -> None:
    (export / "pictures").mkdir()
    for seed, task in enumerate(json.loads((export / "export.json").read_text())):
        stated = task["annotations"][0]["result"][0]
        size = (stated["original_height"], stated["original_width"], 3)
        pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
        Image.fromarray(pixels).save(export / "pictures" / f"{Path(task['data']['image']).name}.jpg")
    assert segkit("check", export, "--allow", "class-without-training-pixels") == 0
    run, _ = train_on_few(export, (), tmp_path)
    assert (run / "report.html").stat().st_size > 0


def test_several_exports_in_a_folder_are_named(
    datasets: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    root = datasets("annotation_formats") / "label_studio"
    assert segkit("check", root) == 1
    assert (
        f"polygons.json, rectangles.json, rotated_rectangles.json; name one, such as {root}" in capsys.readouterr().err
    )
