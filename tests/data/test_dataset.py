"""Training sets: true pixels, right classes, refusals that name the image, one crop per draw."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from segkit.data.augment import Augmenter, PresetName
from segkit.data.border_weights import border_weights
from segkit.data.dataset import TrainingSet, decoded_bytes
from segkit.data.facts import ImageFacts
from segkit.data.loader import Draw
from segkit.data.samples import load_sample
from segkit.errors import DataError
from segkit.pipeline import Pipeline
from segkit.structures import IGNORE_INDEX, ClassMap, Record

CLASSES = ClassMap(("ground", "cell", "vessel"), values={0: 0, 10: 1, 20: 2, 255: IGNORE_INDEX})
TWO_CLASSES = ClassMap(("ground", "cell"))
PIPELINE = Pipeline(channels=1, mean=(0.5,), std=(0.25,))
PLAIN = Augmenter("none", 1)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A 16-bit ramp of 40 x 60 pixels with a mask that has every stored value."""
    image = np.arange(40 * 60, dtype=np.uint16).reshape(40, 60)
    mask = np.zeros((40, 60), np.uint8)
    mask[5:15, 5:15], mask[20:30, 30:50], mask[:, 58:] = 10, 20, 255
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "a_mask.png"), mask)
    return Record("a", tmp_path / "a.png", tmp_path / "a_mask.png")


def test_a_whole_image_goes_through_the_pipeline_alone(record: Record) -> None:
    dataset = TrainingSet([record], {"segment": CLASSES}, PIPELINE, PLAIN, (40, 60))
    item = dataset[Draw(0, 0, 0)]
    assert (item["image"].dtype, item["mask"].dtype) == (torch.float32, torch.int64)
    sample = load_sample(record, CLASSES)
    np.testing.assert_array_equal(item["image"].numpy(), PIPELINE.prepare(sample.image))
    np.testing.assert_array_equal(item["mask"].numpy(), sample.mask)


@pytest.mark.parametrize("name", ["8bit", "percentile", "zscore", "ct"])
@pytest.mark.parametrize("kept", [False, True])
def test_crops_are_those_of_what_the_predictor_sees_bit_for_bit(record: Record, name: str, kept: bool) -> None:
    """The ramp tells where each crop was taken, under every normalization; zscore is that of the whole image."""
    low, high = (-2.0, 2.0) if name == "zscore" else (100.0, 2000.0)
    settings = {"normalization": name, "low": low, "high": high, "channels": 1, "mean": (0.5,), "std": (0.25,)}
    pipeline = Pipeline.parse(settings, source="pipeline")
    dataset = TrainingSet([record], {"segment": CLASSES}, pipeline, PLAIN, (16, 24), foreground_share=0.5)
    if kept:
        dataset.keep_in_memory()
    whole = pipeline.prepare(load_sample(record, CLASSES).image)[0]
    for position in range(10):
        crop = dataset[Draw(0, position, 0)]["image"][0].numpy()
        seen = [
            whole[top : top + 16, left : left + 24]
            for top in range(40 - 16 + 1)
            for left in range(60 - 24 + 1)
            if whole[top, left] == crop[0, 0]
        ]
        assert any(np.array_equal(crop, window) for window in seen)


def test_crops_are_windows_of_image_and_mask_alike(record: Record) -> None:
    """The ramp tells where each crop was taken."""
    dataset = TrainingSet([record], {"segment": CLASSES}, PIPELINE, PLAIN, (16, 24), foreground_share=1.0)
    mask = load_sample(record, CLASSES).mask
    assert mask is not None
    places = set()
    for position in range(30):
        item = dataset[Draw(0, position, 0)]
        ramp = np.rint((item["image"][0].numpy() * 0.25 + 0.5) * 255).astype(int)
        top, left = divmod(int(ramp[0, 0]), 60)
        np.testing.assert_array_equal(ramp, np.arange(2400).reshape(40, 60)[top : top + 16, left : left + 24])
        np.testing.assert_array_equal(item["mask"].numpy(), mask[top : top + 16, left : left + 24])
        assert (item["mask"] > 0).any()
        places.add((top, left))
    assert len(places) > 10


def test_a_draw_depends_on_seed_epoch_and_position_alone(record: Record) -> None:
    def items(seed: int, draws: list[Draw]) -> list[bytes]:
        augmenter = Augmenter("strong", 1, orientation_free=True)
        dataset = TrainingSet([record], {"segment": CLASSES}, PIPELINE, augmenter, (32, 32), seed)
        return [dataset[draw]["image"].numpy().tobytes() for draw in draws]

    draws = [Draw(0, 0, 0), Draw(0, 1, 0), Draw(1, 0, 0)]
    assert len(set(items(0, draws))) == 3
    assert items(0, draws[::-1]) == items(0, draws)[::-1]
    assert set(items(0, draws)).isdisjoint(items(1, draws))


def test_magnified_crops_keep_their_size_and_classes(record: Record) -> None:
    dataset = TrainingSet([record], {"segment": CLASSES}, PIPELINE, Augmenter("strong", 1), (48, 32))
    for position in range(20):
        item = dataset[Draw(0, position, 0)]
        assert item["image"].shape == (1, 48, 32)
        assert item["mask"].shape == (48, 32)
        assert set(item["mask"].unique().tolist()) <= {-1, 0, 1, 2}


def test_kept_samples_are_not_read_again(record: Record) -> None:
    dataset = TrainingSet([record], {"segment": CLASSES}, PIPELINE, Augmenter("standard", 1), (32, 32))
    read = dataset[Draw(0, 3, 0)]
    calls: list[tuple[int, int]] = []
    dataset.keep_in_memory(lambda done, total: calls.append((done, total)))
    record.image.unlink()
    for key, value in dataset[Draw(0, 3, 0)].items():
        assert torch.equal(value, read[key])
    assert calls == [(1, 1)]


def test_decoded_bytes_by_hand() -> None:
    images = [ImageFacts((10, 20), 3, "uint8"), ImageFacts((5, 5), 1, "uint16")]
    assert decoded_bytes(images, {"segment"}) == 10 * 20 * 5 + 5 * 5 * 4
    assert decoded_bytes(images, {"segment"}, weights=True) == 10 * 20 * 9 + 5 * 5 * 8
    assert decoded_bytes(images, {"classify"}) == 10 * 20 * 3 + 5 * 5 * 2


def test_the_set_can_be_pickled(record: Record) -> None:
    dataset = TrainingSet([record], {"segment": CLASSES}, PIPELINE, Augmenter("strong", 1), (32, 32))
    copy = pickle.loads(pickle.dumps(dataset))
    assert torch.equal(copy[Draw(2, 5, 0)]["image"], dataset[Draw(2, 5, 0)]["image"])


def test_classification_items(record: Record) -> None:
    pipeline = PIPELINE.model_copy(update={"size": (20, 30)})
    labelled = Record("a", record.image, label="vessel")
    item = TrainingSet([labelled], {"classify": CLASSES}, pipeline, PLAIN, (20, 30))[Draw(0, 0, 0)]
    assert item.keys() == {"image", "label"}
    assert (item["label"].dtype, int(item["label"])) == (torch.int64, 2)
    np.testing.assert_array_equal(item["image"].numpy(), pipeline.prepare(load_sample(labelled, CLASSES).image))


def test_records_without_target_are_refused(record: Record) -> None:
    bare = Record("bare", record.image)
    with pytest.raises(DataError, match="bare has no target to segment"):
        TrainingSet([bare], {"segment": CLASSES}, PIPELINE, PLAIN, (8, 8))[Draw(0, 0, 0)]
    sized = PIPELINE.model_copy(update={"size": (8, 8)})
    with pytest.raises(DataError, match="bare has no target to classify"):
        TrainingSet([bare], {"classify": CLASSES}, sized, PLAIN, (8, 8))[Draw(0, 0, 0)]
    with pytest.raises(ValueError, match="pipeline with a size"):
        TrainingSet([bare], {"classify": CLASSES}, PIPELINE, PLAIN, (8, 8))


def test_camvid_crops_hold_its_classes_and_ignore_void(datasets: Callable[[str], Path]) -> None:
    root = datasets("camvid")
    files = sorted((root / "train").glob("*.png")) + sorted((root / "train").glob("*.jpg"))
    records = [Record(file.stem, file, root / "trainannot" / f"{file.stem}.png") for file in files[:3]]
    names = [line.split(",")[1] for line in (root / "classes.csv").read_text().splitlines()[1:12]]
    classes = ClassMap(tuple(names), values={**{i: i for i in range(11)}, 11: IGNORE_INDEX}, background=None)
    pipeline = Pipeline(channels=3, mean=(0.41, 0.42, 0.43), std=(0.3, 0.3, 0.3))
    dataset = TrainingSet(records, {"segment": classes}, pipeline, Augmenter("standard", 3), (256, 256))
    seen: set[int] = set()
    for position in range(12):
        item = dataset[Draw(0, position, position % 3)]
        assert item["image"].shape == (3, 256, 256)
        assert torch.isfinite(item["image"]).all()
        seen |= set(item["mask"].unique().tolist())
    assert IGNORE_INDEX in seen
    assert seen <= {IGNORE_INDEX, *range(11)}
    assert len(seen) > 8


def test_a_margin_shows_what_surrounds_the_crop(record: Record) -> None:
    """The ramp tells where each crop was taken; beyond the border of the image it is NumPy's reflection."""
    pipeline = PIPELINE.model_copy(update={"margin": 7})
    dataset = TrainingSet([record], {"segment": CLASSES}, pipeline, PLAIN, (16, 24), foreground_share=0.5)
    mask = load_sample(record, CLASSES).mask
    assert mask is not None
    mirrored = np.pad(np.arange(2400).reshape(40, 60), 7, mode="reflect")
    beyond = set()
    for position in range(30):
        item = dataset[Draw(0, position, 0)]
        assert (item["image"].shape, item["mask"].shape) == ((1, 30, 38), (16, 24))
        ramp = np.rint((item["image"][0].numpy() * 0.25 + 0.5) * 255).astype(int)
        top, left = divmod(int(ramp[7, 7]), 60)
        np.testing.assert_array_equal(ramp, mirrored[top : top + 30, left : left + 38])
        np.testing.assert_array_equal(item["mask"].numpy(), mask[top : top + 16, left : left + 24])
        beyond.add(top < 7 or left < 7)
    assert beyond == {True, False}


def test_nothing_is_learned_from_mirrored_pixels(record: Record) -> None:
    pipeline = PIPELINE.model_copy(update={"margin": 92})
    item = TrainingSet([record], {"segment": CLASSES}, pipeline, PLAIN, (64, 80))[Draw(0, 0, 0)]
    assert item["image"].shape == (1, 64 + 184, 80 + 184)
    mask = load_sample(record, CLASSES).mask
    np.testing.assert_array_equal(item["mask"][12:52, 10:70].numpy(), mask)
    assert (item["mask"] != IGNORE_INDEX).sum() == (np.asarray(mask) != IGNORE_INDEX).sum()


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Round cells on a grid, in a picture of their own border weights; augmentation moves pixels only."""
    y, x = np.mgrid[:120, :120]
    mask = ((y % 24 - 12) ** 2 + (x % 24 - 12) ** 2 < 90).astype(np.uint8)
    weights = border_weights(mask.astype(np.int16), TWO_CLASSES, 10)
    cv2.imwrite(str(tmp_path / "cells.png"), np.rint(weights * 6000).astype(np.uint16))
    cv2.imwrite(str(tmp_path / "cells_mask.png"), mask)
    monkeypatch.setattr("segkit.data.augment.change_intensity", lambda unit, *_: unit)
    return Record("cells", tmp_path / "cells.png", tmp_path / "cells_mask.png")


@pytest.mark.parametrize("margin", [0, 20])
@pytest.mark.parametrize("preset", ["none", "standard", "strong"])
def test_border_weights_go_the_way_of_image_and_mask(cells: Record, preset: PresetName, margin: int) -> None:
    """The image shows the weights, so that what happened to it must have happened to them."""
    pipeline = Pipeline(channels=1, mean=(0.0,), std=(1.0,), high=6000, margin=margin)
    augmenter = Augmenter(preset, 1, orientation_free=True)
    dataset = TrainingSet([cells], {"segment": TWO_CLASSES}, pipeline, augmenter, (48, 48), border_weight=10)
    for position in range(12):
        item = dataset[Draw(0, position, 0)]
        shown = item["image"][0, margin : margin + 48, margin : margin + 48]
        weight, mask = item["border_weight"], item["mask"]
        assert (weight.dtype, weight.shape) == (torch.float32, (48, 48))
        assert float((shown - weight).abs().mean()) < (1e-3 if preset == "none" else 0.35)
        assert float(weight.std()) > 1
        assert float(weight[mask == 0].max()) > 2 * float(weight[mask == 1].mean())


def test_border_weights_are_kept_with_the_samples(cells: Record) -> None:
    dataset = TrainingSet([cells], {"segment": TWO_CLASSES}, PIPELINE, PLAIN, (120, 120), border_weight=10)
    read = dataset[Draw(0, 0, 0)]["border_weight"]
    mask = load_sample(cells, TWO_CLASSES).mask
    assert mask is not None
    np.testing.assert_array_equal(read.numpy(), border_weights(mask, TWO_CLASSES, 10))
    dataset.keep_in_memory()
    cells.image.unlink()
    assert torch.equal(dataset[Draw(0, 0, 0)]["border_weight"], read)


def test_numbered_objects_are_the_cells(cells: Record, tmp_path: Path) -> None:
    numbers = np.zeros((120, 120), np.uint16)
    numbers[20:60, 20:60], numbers[20:60, 60:90] = 300, 2
    cv2.imwrite(str(tmp_path / "numbers.png"), numbers)
    record = Record("cells", cells.image, tmp_path / "numbers.png")
    classes = ClassMap(("ground", "cell"), values={0: 0}, other=1)
    draws = [
        TrainingSet(
            [record], {"segment": classes}, PIPELINE, PLAIN, (120, 120), border_weight=10, numbered_objects=numbered
        )[Draw(0, 0, 0)]["border_weight"]
        for numbered in (True, False)
    ]
    assert float(draws[0][40, 60]) == pytest.approx(10 * np.exp(-1 / 50))
    assert float(draws[1].max()) == 0
