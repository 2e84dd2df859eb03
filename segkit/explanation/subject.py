"""A network and one image, ready to be looked into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segkit.data.image_io import read_image
from segkit.errors import UsageError
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.predictor import Predictor
from segkit.models.model import Model
from segkit.ops.sizes import Padding, crop, pad_mirrored, padding_to_multiple
from segkit.pipeline import Pipeline
from segkit.structures import ClassMap


@dataclass(frozen=True)
class Subject:
    """What the explanations work on.

    Attributes:
        network: in evaluation mode.
        classes: what its logits stand for.
        image: stored values (H, W, C), of the size the network sees.
        batch: the prepared image (1, C, H + 2 margin, W + 2 margin).
        margin: pixels the network loses on each side.
        whole_limit: pixels that are taken at once, in however many images.
    """

    network: Model
    classes: ClassMap
    image: NDArray[Any]
    batch: Tensor
    margin: int = 0
    whole_limit: int = 1536 * 1536

    @property
    def task(self) -> str:
        """`segment` or `classify`."""
        return self.network.config.task

    @property
    def padding(self) -> Padding:
        """Pixels that the network mirrors on to the batch, to sides that it takes."""
        height, width = (side - 2 * self.margin for side in self.batch.shape[-2:])
        network = self.network
        return padding_to_multiple(
            height, width, network.stride_multiple, network.smallest_image, network.stride_remainder
        )

    def logits(self, batch: Tensor) -> Tensor:
        """The logits (N, K) or (N, K, H, W) of prepared images."""
        outputs: dict[str, Tensor] = self.network(batch)
        return outputs[self.task]

    def within_image(self, heat: NDArray[np.float32]) -> NDArray[np.float32]:
        """A map over the batch without the margin."""
        return crop(heat, (self.margin,) * 4)


def network_of(predictor: Predictor) -> Model:
    """The network inside a predictor; raises `UsageError` where it is no network of segkit."""
    engine = predictor.engine
    if not (isinstance(engine, TorchEngine) and isinstance(engine.model, Model)):
        raise UsageError(f"{engine.description} cannot be looked into; name a model file of segkit")
    return engine.model.eval()


@contextmanager
def listening_to_maps(network: Model) -> Iterator[list[tuple[Tensor, ...]]]:
    """The maps of the backbone, fine to coarse, of every image the network is given meanwhile."""
    heard: list[tuple[Tensor, ...]] = []
    handle = network.backbone.register_forward_hook(lambda _module, _given, features: heard.append(features.maps))
    try:
        yield heard
    finally:
        handle.remove()


def open_subject(predictor: Predictor, image: str | Path) -> Subject:
    """Read and prepare one image for a predictor's network.

    Raises:
        UnreadableFileError: the file is no image.
        UsageError: the number of channels is not the model's, or the image is too large to be taken whole.
    """
    network, pipeline = network_of(predictor), predictor.pipeline
    stored = read_whole(pipeline, image)
    batch = prepare(predictor, stored)
    return Subject(network, predictor.classes, pipeline.seen(stored), batch, pipeline.margin, pipeline.whole_limit)


def read_whole(pipeline: Pipeline, image: str | Path) -> NDArray[Any]:
    """The stored values (H, W, C) of a file that the network can take in one piece; raises as `open_subject`."""
    stored = pipeline.with_channels(read_image(image))
    height, width = stored.shape[:2]
    if pipeline.size is None and height * width > pipeline.whole_limit:
        raise UsageError(f"{image} has {width} x {height} pixels, too many to look into at once; cut out a part of it")
    return stored


def prepare(predictor: Predictor, stored: NDArray[Any]) -> Tensor:
    """Stored values (H, W, C) to the network's input (1, C, H, W), mirrored by its margin."""
    prepared = pad_mirrored(predictor.pipeline.prepare(stored), (predictor.pipeline.margin,) * 4)
    device = next(network_of(predictor).parameters()).device
    return torch.from_numpy(np.ascontiguousarray(prepared))[None].to(device)
