from __future__ import annotations

import io
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segkit.data.image_io import read_image
from segkit.data.near_duplicates import look_alikes, thumbnail

Datasets = Callable[[str], Path]


def scene(seed: int, size: int = 96) -> NDArray[np.uint8]:
    """Blurred noise: a picture with large and small shapes."""
    noise = np.random.default_rng(seed).normal(size=(size, size, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.rint(np.clip(smooth / smooth.std() * 40 + 128, 0, 255)).astype(np.uint8)


def as_jpeg(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    content = io.BytesIO()
    Image.fromarray(image).save(content, format="JPEG", quality=quality)
    return np.asarray(Image.open(content))


COPIES: dict[str, Callable[[NDArray[np.uint8]], NDArray[Any]]] = {
    "saved as JPEG": lambda image: as_jpeg(image, 30),
    "smaller": lambda image: cv2.resize(image, (40, 40), interpolation=cv2.INTER_AREA),
    "brighter": lambda image: np.rint(image * 0.7 + 60).astype(np.uint8),
    "gray": lambda image: image.mean(axis=2, keepdims=True).astype(np.uint8),
    "a little shifted": lambda image: np.roll(image, 1, axis=1),
    "16 bits": lambda image: image.astype(np.uint16) * 257,
}


@pytest.mark.parametrize("copy", COPIES)
def test_a_changed_copy_is_found_and_nothing_else(copy: str) -> None:
    images = [scene(seed) for seed in range(30)]
    images.append(COPIES[copy](images[3]))
    parts = ["train"] * 20 + ["val"] * 5 + ["test"] * 6
    assert list(look_alikes([thumbnail(image) for image in images], parts)) == [(3, 30)]


def test_pairs_inside_one_part_are_not_looked_for() -> None:
    texts = [thumbnail(scene(seed % 4)) for seed in range(8)]
    assert list(look_alikes(texts, ["train"] * 8)) == []
    assert list(look_alikes(texts, ["train"] * 4 + ["val"] * 4)) == [(0, 4), (1, 5), (2, 6), (3, 7)]


def test_pairs_equal_numpy_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.data.near_duplicates._CHUNK", 7)
    texts = [thumbnail(scene(seed % 13)) for seed in range(40)]
    parts = [("train", "val", "test")[index % 3] for index in range(40)]
    expected = [(i, j) for i, j in combinations(range(40), 2) if i % 13 == j % 13 and parts[i] != parts[j]]
    assert list(look_alikes(texts, parts)) == expected


def test_two_images_are_compared_as_they_are() -> None:
    texts = [thumbnail(scene(0)), thumbnail(as_jpeg(scene(0), 50))]
    assert list(look_alikes(texts, ["train", "test"])) == [(0, 1)]
    assert list(look_alikes([texts[0], thumbnail(scene(1))], ["train", "test"])) == []


def test_images_without_a_look_are_like_no_other() -> None:
    assert thumbnail(np.full((64, 64, 1), 7, np.uint8)) == ""
    assert thumbnail(scene(0)[:31]) == ""
    assert thumbnail(np.full((64, 64, 1), np.nan, np.float32)) == ""
    assert list(look_alikes(["", "", ""], ["train", "val", "test"])) == []


def test_values_that_are_no_numbers_do_not_spread() -> None:
    image = scene(0).astype(np.float32)
    whole = thumbnail(image)
    image[0, 0] = np.nan
    assert list(look_alikes([whole, thumbnail(image)], ["train", "test"])) == [(0, 1)]


@pytest.mark.parametrize(
    ("name", "folder", "expected"),
    [
        ("hrf_av", "images", set()),  # all of them bright discs on black, which difference hashes take for copies
        ("nuclei_dsb2018", "images", set()),
        ("isbi2012_em", "image", set()),  # neighbouring slices
        ("bccd", "JPEGImages", {("BloodImage_00037", "BloodImage_00038")}),  # the same cells a moment later
    ],
)
def test_real_images_that_differ_are_not_taken_for_copies(
    datasets: Datasets, name: str, folder: str, expected: set[tuple[str, str]]
) -> None:
    files = sorted((datasets(name) / folder).iterdir())[:120]
    texts = [thumbnail(read_image(file)) for file in files]
    pairs = look_alikes(texts, list(map(str, range(len(files)))))
    assert {(files[i].stem, files[j].stem) for i, j in pairs} == expected
