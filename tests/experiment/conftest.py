"""A small data set of bright discs on noise, with a split of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

PARTS = ["train"] * 8 + ["val"] * 3 + ["test"] * 3


def write_discs(folder: Path, first: int = 0, count: int = len(PARTS)) -> Path:
    """Write images of 48x40 pixels with one disc each, masks of 0 and 1, and a split file."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    rows = ["id,split"]
    for number in range(first, first + count):
        generator = np.random.default_rng(number)
        y, x = np.mgrid[:48, :40]
        row, column = generator.integers(12, 28, 2)
        disc = (y - row) ** 2 + (x - column) ** 2 < 81
        image = np.where(disc, 180, 70) + generator.normal(0, 15, disc.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(folder / "images" / f"disc_{number:02d}.png")
        Image.fromarray(disc.astype(np.uint8)).save(folder / "masks" / f"disc_{number:02d}.png")
        rows.append(f"disc_{number:02d},{PARTS[(number - first) % len(PARTS)]}")
    (folder / "split.csv").write_text("\n".join(rows) + "\n")
    return folder


def write_tiff_set(folder: Path, scale: Callable[[int], float], channels: int = 1) -> Path:
    """Twelve float images of 48 x 40 pixels whose values differ by `scale`, with masks."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(12):
        shape = (48, 40) if channels == 1 else (channels, 48, 40)
        values = np.random.default_rng(number).normal(100, 20, shape) * scale(number)
        tifffile.imwrite(folder / "images" / f"{number:02d}.tif", values.astype(np.float32))
        mask = np.zeros((48, 40), np.uint8)
        mask[10 : 20 + number, 10:30] = 1
        Image.fromarray(mask).save(folder / "masks" / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="session")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_discs(tmp_path_factory.mktemp("data") / "discs")
