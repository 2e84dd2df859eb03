"""The U-Net of 2015 and its border weights, from the command line to a run that predicts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segkit
from segkit.cli import main
from segkit.data.dataset import TrainingSet
from segkit.data.image_io import read_image
from segkit.data.opening import open_dataset
from segkit.data.synthetic import write_sample
from segkit.errors import UsageError
from segkit.inference.results import SegmentationResult
from segkit.structures import Progress
from tests.experiment.test_plan import plan


def test_each_half_of_the_network_brings_the_other(discs: Path) -> None:
    for given in ({"decoder": "unet2015"}, {"backbone": "unet2015"}):
        made = plan(discs, model=given).model
        assert (made.backbone, made.decoder) == ("unet2015", "unet2015")
    assert plan(discs, model={"decoder": "unet"}).model.backbone == "plain"


@pytest.mark.parametrize("loss", ["dice", "focal"])
def test_losses_that_weight_no_pixels_are_refused(discs: Path, loss: str) -> None:
    with pytest.raises(UsageError, match=f"--border-weight 10: --loss {loss} cannot weight pixels; use ce or ce_dice"):
        plan(discs, training={"border_weight": 10, "loss": loss})


def test_border_weights_are_for_segmentation(tmp_path: Path) -> None:
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = np.random.default_rng(number).integers(0, 255, (20, 24), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{name}_{number}.png")
    with pytest.raises(UsageError, match=r"--border-weight 10: it weights pixels of masks; to classify there are none"):
        plan(tmp_path, training={"border_weight": 10})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on ten small pictures of cells, by the command."""
    folder = tmp_path_factory.mktemp("unet2015")
    write_sample(folder / "cells", count=10, size=96)
    words = f"""train {folder / "cells"} -o {folder / "run"} --decoder unet2015 --backbone-option width=4,depth=3
        --border-weight 10 --epochs 12 --batch-size 2 --crop 64 --workers 0 --device cpu --precision fp32 --seed 1 -q"""
    with pytest.raises(SystemExit) as left:
        main(words.split())
    assert left.value.code == 0
    return folder / "run"


def test_a_run_tells_and_keeps_what_was_asked(run: Path) -> None:
    said = (run / "log.txt").read_text()
    assert "network unet2015-unet2015" in said
    assert "up to 10 added to the weight of pixels between objects (as asked)" in said
    assert "the network loses 20 pixels on each side" in said
    assert segkit.Run(run).config.training.border_weight == 10
    pipeline = segkit.load(run, device="cpu").pipeline
    assert (pipeline.margin, pipeline.stride_multiple, pipeline.stride_remainder) == (20, 4, 0)


def test_a_run_is_scored_as_it_was_validated(run: Path) -> None:
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[-1]["train_loss"]) < 0.9 * float(rows[0]["train_loss"])
    evaluated = segkit.evaluate(run, run.parent / "cells", split="val", device="cpu", quiet=True)
    assert evaluated.score == pytest.approx(max(float(row["score"]) for row in rows), abs=1e-6)


def test_the_trained_network_predicts_images_of_any_size(run: Path) -> None:
    predictor = segkit.load(run, device="cpu")
    image = read_image(open_dataset(run.parent / "cells").split("test")[0].image)
    for part in (image, image[:37, :53], image[:1, :1]):
        result = predictor.predict(part)
        assert isinstance(result, SegmentationResult)
        assert result.mask.shape == part.shape[:2]


def test_the_network_learns_what_it_sees_with_its_margin(discs: Path, tmp_path: Path) -> None:
    """Bright discs on noise, some of them at the border of the crop: found nearly to the pixel after 40 steps."""
    run = segkit.train(
        discs,
        output=tmp_path / "run",
        decoder="unet2015",
        backbone_options={"width": 8, "depth": 3},
        epochs=20,
        batch_size=4,
        crop=48,
        learning_rate=3e-3,
        device="cpu",
        workers=0,
        seed=1,
        quiet=True,
    )
    assert run.scores["score"] > 0.9


@pytest.mark.parametrize("numbered", [True, False])
def test_numbered_masks_say_what_the_objects_are(
    numbered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Instance ids read as one class keep their borders; gray levels read so are no objects."""
    write_sample(tmp_path / "sample", count=10, size=160)
    data = tmp_path / "cells"
    (data / "masks").mkdir(parents=True)
    (tmp_path / "sample" / "images").rename(data / "images")
    for file in (tmp_path / "sample" / "instances").iterdir():
        ids = np.asarray(Image.open(file))
        mask = ids if numbered else np.where(ids > 0, 200 + ids % 2, 0).astype(np.uint8)
        Image.fromarray(mask).save(data / "masks" / file.name)
    seen: list[bool] = []

    class Recorded(TrainingSet):
        def keep_in_memory(self, progress: Progress | None = None) -> None:
            seen.append(self.numbered_objects)
            super().keep_in_memory(progress)

    monkeypatch.setattr("segkit.experiment.session.TrainingSet", Recorded)
    segkit.train(
        data,
        output=tmp_path / "run",
        map={"other": 1},
        border_weight=10.0,
        backbone_options={"width": 2, "depth": 2},
        epochs=1,
        crop=32,
        device="cpu",
        workers=0,
        quiet=True,
    )
    assert seen == [numbered]
