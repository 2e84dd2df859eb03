"""Small model files, and images for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from segkit.modelfile import ModelCard, save_model_file
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.structures import ClassMap, TaskName
from tests.inference.networks import plain_pipeline

SMALL: Mapping[str, Any] = {"width": 4, "depth": 3}
SMALL_HEAD: Mapping[str, Any] = {"channels": 64, "convolutions": 1, "finest_stride": 4, "levels": 2}


def small_model(heads: Mapping[TaskName, int]) -> Model:
    """A network of a few hundred weights that are no initial ones: statistics of batches and logits are of size 1."""
    torch.manual_seed(0)
    options = SMALL_HEAD if "detect" in heads else None
    model = create_model(heads=heads, backbone_options=SMALL, detect_options=options).train()
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.normal_(std=0.5)
        for _ in range(20):
            model(torch.randn(4, 3, 32, 32))
    return model.eval()


def save_small(path: Path, heads: Mapping[TaskName, int] | None = None, **settings: Any) -> Path:
    """Save a small network, of three classes to segment where no heads are given, and its pipeline."""
    heads = heads or {"segment": 3}
    model = small_model(heads)
    pipeline = plain_pipeline(stride_multiple=model.stride_multiple, **settings)
    card = ModelCard(
        heads={task: ClassMap(tuple(f"{task} {i}" for i in range(count))).to_dict() for task, count in heads.items()},
        model=model.config.model_dump(mode="json"),
        pipeline=pipeline.model_dump(mode="json"),
    )
    save_model_file(path, {name: value.numpy() for name, value in model.state_dict().items()}, card)
    return path


def photo(height: int, width: int) -> NDArray[np.uint8]:
    """An image of soft blobs and noise."""
    random = np.random.default_rng(height * 1000 + width)
    return random.integers(0, 256, (height, width, 3), np.uint8)


def write_discs(folder: Path, test_images: int = 12) -> Path:
    """Bright discs on noise with their masks, in the parts train, val and test."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:32, :32]
    for part, count in (("train", 8), ("val", 2), ("test", test_images)):
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True)
        for number in range(count):
            row, column, radius = random.integers(8, 24), random.integers(8, 24), random.integers(4, 8)
            mask = ((rows - row) ** 2 + (columns - column) ** 2 <= radius**2).astype(np.uint8)
            image = random.integers(0, 90, (32, 32, 3)) + 120 * mask[..., None]
            for kind, pixels in (("images", image.astype(np.uint8)), ("masks", mask)):
                Image.fromarray(pixels).save(folder / part / kind / f"{part}_{number}.png")
    return folder


def save_trained(path: Path, data: Path) -> Path:
    """Save a small network that tells the discs of `write_discs` from what is around them."""
    torch.manual_seed(0)
    model, pipeline = create_model(num_classes=2, backbone_options=SMALL), plain_pipeline(stride_multiple=4)
    files = sorted((data / "train" / "images").iterdir())
    images = torch.stack([torch.from_numpy(pipeline.prepare(np.asarray(Image.open(file)))) for file in files])
    masks = torch.stack(
        [torch.from_numpy(np.asarray(Image.open(data / "train/masks" / file.name)).copy()) for file in files]
    )
    optimizer = torch.optim.Adam(model.train().parameters(), 0.01)
    for _ in range(100):
        optimizer.zero_grad()
        functional.cross_entropy(model(images)["segment"], masks.long()).backward()
        optimizer.step()
    card = ModelCard(
        heads={"segment": ClassMap(("background", "disc"), background=0).to_dict()},
        model=model.config.model_dump(mode="json"),
        pipeline=pipeline.model_dump(mode="json"),
    )
    save_model_file(path, {name: value.numpy() for name, value in model.state_dict().items()}, card)
    return path
