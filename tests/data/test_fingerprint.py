from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.facts import pixel_hash
from segkit.data.fingerprint import fingerprint
from segkit.data.image_io import read_image, read_mask
from segkit.data.normalization import pipeline_settings
from segkit.data.opening import OpenDataset, open_dataset
from segkit.pipeline import Pipeline


def make(root: Path, images: Mapping[str, NDArray[Any]]) -> OpenDataset:
    """Images with masks of two classes; ids start with their part."""
    for folder in ("images", "masks"):
        (root / folder).mkdir()
    for name, image in images.items():
        Image.fromarray(image).save(root / "images" / f"{name}.png")
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[:2, :3] = 1
        Image.fromarray(mask).save(root / "masks" / f"{name}.png")
    (root / "split.csv").write_text("id,split\n" + "".join(f"{name},{name.split('_')[0]}\n" for name in images))
    return open_dataset(root)


def test_every_number_by_hand(tmp_path: Path) -> None:
    train = [np.full((4, 5, 3), 51, np.uint8), np.full((6, 5, 3), 102, np.uint8)]
    train[0][0, 0], train[1][0, 0] = 0, 255
    dataset = make(tmp_path, {"train_0": train[0], "train_1": train[1], "val_0": train[0] + 1, "test_0": train[1] // 2})
    found = fingerprint(dataset)
    assert json.loads(json.dumps(found)) == found
    assert found["images"] == {"train": 2, "val": 1, "test": 1}
    assert "groups" not in found
    assert found["sizes"] == {"smallest": [4, 5], "median": [5, 5], "largest": [6, 5]}
    assert (found["dtypes"], found["channels"]) == ({"uint8": 4}, {"3": 4})
    assert found["class_pixels"]["train"] == {"background": 38, "foreground": 12}
    assert found["class_images"]["val"] == {"background": 1, "foreground": 1}
    assert found["hashes"]["train"] == [pixel_hash(image) for image in train]
    assert "spacing" not in found
    pixels = np.concatenate([image.reshape(-1, 3) for image in train])
    assert (found["intensities"]["low"], found["intensities"]["high"]) == ([0, 0, 0], [255, 255, 255])
    assert found["intensities"]["ranges"] == pytest.approx([56.1, 147.9])  # 51 and 153: 5 and 95 % of the way between
    np.testing.assert_allclose(found["intensities"]["mean"], pixels.mean(axis=0))
    np.testing.assert_allclose(found["intensities"]["std"], pixels.std(axis=0))


def test_images_with_boxes_count_for_the_classes_of_their_objects(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b", "c", "d"):
        Image.fromarray(np.random.default_rng(ord(name)).integers(0, 255, (40, 50), np.uint8)).save(
            tmp_path / "images" / f"{name}.png"
        )
    boxes = [("a", 1), ("a", 1), ("b", 2), ("c", 1), ("c", 2)]
    content = {
        "images": [{"id": n, "file_name": f"{n}.png", "width": 50, "height": 40} for n in "abcd"],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": i, "image_id": image, "category_id": category, "bbox": [5, 5, 20, 10 + i], "iscrowd": 0}
            for i, (image, category) in enumerate(boxes)
        ],
    }
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    (tmp_path / "split.csv").write_text("id,split\na,train\nb,train\nc,val\nd,test\n")
    found = fingerprint(open_dataset(tmp_path, task="detect"))
    assert found["class_images"] == {
        "train": {"cat": 1, "dog": 1},
        "val": {"cat": 1, "dog": 1},
        "test": {"cat": 0, "dog": 0},
    }
    assert "class_pixels" not in found


def test_normalized_training_images_have_mean_0_and_deviation_1(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = {
        f"{part}_{i}": generator.integers(900, 4096, (30, 20 + i), dtype=np.uint16)
        for part in ("train", "val", "test")
        for i in range(3)
    }
    found = fingerprint(make(tmp_path, images))["intensities"]
    assert 900 <= found["low"][0] < 910
    assert 4080 < found["high"][0] <= 4095
    pipeline = Pipeline(channels=1, **pipeline_settings("percentile", found))
    assert (pipeline.low, pipeline.high) == (found["low"][0], found["high"][0])
    normalized = np.concatenate(
        [pipeline.prepare(image).ravel() for name, image in images.items() if name.startswith("train")]
    )
    assert normalized.mean() == pytest.approx(0, abs=1e-5)
    assert normalized.std() == pytest.approx(1, abs=1e-5)


def test_a_constant_channel_stays_finite(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = {f"{part}_0": generator.integers(0, 256, (8, 8, 3), dtype=np.uint8) for part in ("train", "val", "test")}
    for image in images.values():
        image[..., 2] = 7
    found = fingerprint(make(tmp_path, images))["intensities"]
    assert found["std"][2] == 0
    for name in ("8bit", "percentile"):
        assert pipeline_settings(name, found)["std"][2] == 1.0


def test_camvid_equals_a_plain_loop(datasets: Callable[[str], Path]) -> None:
    dataset = open_dataset(datasets("camvid"), DataConfig(group_by="^([^_]+)_", allow=("group-across-splits",)))
    found = fingerprint(dataset)
    assert found["groups"] == {"train": 3, "val": 1, "test": 2}
    assert len({hash_ for hashes in found["hashes"].values() for hash_ in hashes}) == 701
    sums, pixels, void = np.zeros(3), 0, 0
    for record in dataset.split("val"):
        assert isinstance(record.mask, Path)
        void += int((read_mask(record.mask) == 11).sum())
        pixels += 360 * 480
    assert sum(found["class_pixels"]["val"].values()) == pixels - void
    for record in dataset.split("train"):
        sums += read_image(record.image).sum(axis=(0, 1), dtype=np.float64)
    np.testing.assert_allclose(found["intensities"]["mean"], sums / (367 * 360 * 480), rtol=1e-9)
