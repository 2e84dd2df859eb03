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
        smallest: side to which smaller images are mirrored.
    """

    network: Model
    classes: ClassMap
    image: NDArray[Any]
    batch: Tensor
    margin: int = 0
    whole_limit: int = 1536 * 1536
    smallest: int = 1

    @property
    def task(self) -> str:
        """`segment` or `classify`."""
        return self.network.config.task

    @property
    def padding(self) -> Padding:
        """Pixels that are mirrored on to the batch, as prediction does, to sides that the network takes and knows."""
        height, width = (side - 2 * self.margin for side in self.batch.shape[-2:])
        network, smallest = self.network, max(self.network.smallest_image, self.smallest)
        return padding_to_multiple(height, width, network.stride_multiple, smallest, network.stride_remainder)

    def logits(self, batch: Tensor) -> Tensor:
        """The logits (N, K) or (N, K, H, W) of prepared images."""
        top, bottom, left, right = self.padding
        mirrored = _mirrored(_mirrored(batch, 2, (top, bottom), self.margin), 3, (left, right), self.margin)
        outputs: dict[str, Tensor] = self.network(mirrored)
        logits = outputs[self.task]
        if self.task == "classify":
            return logits
        return logits[..., top : logits.shape[-2] - bottom, left : logits.shape[-1] - right]

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
    if len(predictor.heads) > 1 or predictor.task not in ("segment", "classify"):
        raise UsageError(
            f"the network is to {' and '.join(predictor.heads)}, and what is shown belongs to one class of a mask or "
            "of an image; name a model that segments or classifies alone"
        )
    stored = read_whole(pipeline, image)
    batch = prepare(predictor, stored)
    return Subject(
        network=network,
        classes=predictor.classes,
        image=pipeline.seen(stored),
        batch=batch,
        margin=pipeline.margin,
        whole_limit=pipeline.whole_limit,
        smallest=pipeline.smallest,
    )


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


def _mirrored(batch: Tensor, dimension: int, padding: tuple[int, int], margin: int) -> Tensor:
    """Mirror pixels on to both ends of a dimension of a batch, at the border of the image, which lies in its margin."""
    before, after = padding
    if not before + after:
        return batch
    inside = np.arange(margin, batch.shape[dimension] - margin)
    positions = pad_mirrored(inside[:, None], (before + margin, after + margin, 0, 0))[:, 0]
    positions[before : before + batch.shape[dimension]] = np.arange(batch.shape[dimension])
    return batch.index_select(dimension, torch.from_numpy(positions).to(batch.device))
