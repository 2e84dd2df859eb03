"""Small networks whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segkit.inference.engines.torch import Precision, TorchEngine
from segkit.inference.predictor import Predictor
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap


class LocalNetwork(nn.Module):
    """Three 3 x 3 convolutions: no output depends on more than three pixels around it.

    With `valid` it loses these three pixels per side, else it pads zeros as segmentation networks do.
    """

    def __init__(self, channels: int = 3, num_classes: int = 4, valid: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        padding = 0 if valid else 1
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=padding),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, padding=padding),
            nn.ReLU(),
            nn.Conv2d(8, num_classes, 3, padding=padding),
        )

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"segment": self.layers(images)}


class MeanColor(nn.Module):
    """Classifies by the mean of each channel."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"classify": images.mean((2, 3))}


class Recorder:
    """An engine that answers with its input's first channels and remembers the shapes it was given."""

    description = "recorder"

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.shapes: list[tuple[int, ...]] = []

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.shapes.append(images.shape)
        return {"segment": images[:, : self.num_classes]}


def class_map(count: int, ids: Sequence[int] = ()) -> ClassMap:
    return ClassMap(names=tuple(f"class {index}" for index in range(count)), ids=tuple(ids))


def plain_pipeline(channels: int = 3, **settings: Any) -> Pipeline:
    return Pipeline.parse({"channels": channels, "mean": [0.5] * channels, "std": [0.25] * channels} | settings)


def local_predictor(precision: Precision = "fp32", valid: bool = False, **settings: Any) -> Predictor:
    engine = TorchEngine(LocalNetwork(valid=valid), "cpu", precision)
    return Predictor(engine, plain_pipeline(**settings), {"segment": class_map(4)})


def photo(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
