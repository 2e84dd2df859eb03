"""Small model files, and images for them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from segkit.modelfile import ModelCard, save_model_file
from segkit.models.factory import create_model
from segkit.models.model import Model
from segkit.structures import ClassMap, TaskName
from tests.inference.networks import plain_pipeline

SMALL: Mapping[str, Any] = {"width": 4, "depth": 3}
SMALL_HEAD: Mapping[str, Any] = {"channels": 32, "convolutions": 1, "finest_stride": 4, "levels": 2}


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
