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
from segkit.structures import ClassMap, TaskName


@dataclass(frozen=True)
class Subject:
    """What the explanations work on.

    Attributes:
        network: in evaluation mode.
        head: the one that is asked.
        classes: what its logits stand for.
        image: stored values (H, W, C), of the size the network sees.
        batch: the prepared image (1, C, H + 2 margin, W + 2 margin).
        margin: pixels the network loses on each side.
        whole_limit: pixels that are taken at once, in however many images.
        smallest: side to which smaller images are mirrored.
        temperature: what logits are divided by before they are shown as probabilities.
    """

    network: Model
    head: TaskName
    classes: ClassMap
    image: NDArray[Any]
    batch: Tensor
    margin: int = 0
    whole_limit: int = 1536 * 1536
    smallest: int = 1
    temperature: float = 1.0

    @property
    def names(self) -> tuple[str, ...]:
        """What the logits stand for; the last of objects is their border."""
        return (*self.classes.names, "border") if self.head == "instances" else tuple(self.classes.names)

    @property
    def has_maps(self) -> bool:
        """Whether the head has logits for every pixel."""
        return self.head in ("segment", "instances")

    @property
    def padding(self) -> Padding:
        """Pixels that are mirrored on to the batch, as prediction does, to sides that the network takes and knows."""
        height, width = (side - 2 * self.margin for side in self.batch.shape[-2:])
        network, smallest = self.network, max(self.network.smallest_image, self.smallest)
        return padding_to_multiple(height, width, network.stride_multiple, smallest, network.stride_remainder)

    def logits(self, batch: Tensor) -> Tensor:
        """The logits (N, K) or (N, K, H, W) of prepared images; of boxes those of the surest place for each class.

        Raises `UsageError` where the head gives objects one by one, for which there are no logits.
        """
        top, bottom, left, right = self.padding
        mirrored = _mirrored(_mirrored(batch, 2, (top, bottom), self.margin), 3, (left, right), self.margin)
        outputs: dict[str, Tensor] = self.network(mirrored)
        if self.head not in outputs:
            raise UsageError(
                f"the head '{self.head}' finds objects one by one, and what is shown belongs to a class of pixels, of "
                "boxes or of images; name another head or another model"
            )
        logits = outputs[self.head]
        if not self.has_maps:
            return logits.amax(dim=1) if self.head == "detect" else logits
        return logits[..., top : logits.shape[-2] - bottom, left : logits.shape[-1] - right]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Of logits (N, K, ...): classes of a pixel or an image exclude one another, those of boxes do not."""
        return logits.sigmoid() if self.head == "detect" else (logits / self.temperature).softmax(dim=1)

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


def open_subject(predictor: Predictor, image: str | Path, head: TaskName | None = None) -> Subject:
    """Read and prepare one image for one head of a predictor's network, the main one where None.

    Raises:
        UnreadableFileError: the file is no image.
        UsageError: the network has no such head, the number of channels is not the model's, or the image is too large
            to be taken whole.
    """
    network, pipeline, head = network_of(predictor), predictor.pipeline, head or predictor.task
    if head not in predictor.heads:
        known = ", ".join(predictor.heads)
        raise UsageError(f"the network has no head '{head}', it has {known}; name one of them, or none for all")
    stored = read_whole(pipeline, image)
    batch = prepare(predictor, stored)
    return Subject(
        network=network,
        head=head,
        classes=predictor.heads[head],
        image=pipeline.seen(stored),
        batch=batch,
        margin=pipeline.margin,
        whole_limit=pipeline.whole_limit,
        smallest=pipeline.smallest,
        temperature=pipeline.temperatures.get(head, 1.0),
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
