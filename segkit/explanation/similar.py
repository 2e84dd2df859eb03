"""Images that look alike to a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segkit.errors import SegkitError, UsageError
from segkit.explanation.subject import listening_to_maps, network_of, prepare, read_whole
from segkit.inference.predictor import Predictor
from segkit.structures import Progress


@dataclass(frozen=True)
class Neighbours:
    """The images nearest to another, and the files that could not be read.

    Attributes:
        nearest: file and distance, nearest first.
        errors: the reason by file.
    """

    nearest: tuple[tuple[Path, float], ...]
    errors: dict[Path, str]


def find_similar(
    predictor: Predictor, image: str | Path, files: Sequence[Path], top: int, progress: Progress | None = None
) -> Neighbours:
    """The `top` files whose hidden vector has the least Euclidean distance to that of the image.

    The image itself is left out where it is among the files. Source: Krizhevsky et al. 2012, "ImageNet classification
    with deep convolutional neural networks", section 6.1.

    Raises:
        UnreadableFileError: the image cannot be read; bad files among `files` go into `errors` instead.
        UsageError: the image has not the model's channels or is too large to be taken whole, or no other file is left.
    """
    others = [file for file in files if file.resolve() != Path(image).resolve()]
    if not others:
        raise UsageError(f"there is no image besides {image}; name a folder with others")
    query = hidden_vector(predictor, image)
    distances: dict[Path, float] = {}
    errors: dict[Path, str] = {}
    for number, file in enumerate(others, start=1):
        try:
            distances[file] = float(np.linalg.norm(hidden_vector(predictor, file) - query))
        except SegkitError as error:
            errors[file] = str(error)
        if progress is not None:
            progress(number, len(others))
    ranked = sorted(distances.items(), key=lambda item: item[1])
    return Neighbours(tuple(ranked[:top]), errors)


@torch.no_grad()
def hidden_vector(predictor: Predictor, image: str | Path) -> NDArray[np.float32]:
    """The vector in front of a classifier's last layer with weights; for segmentation the mean of the coarsest map.

    A map in front of that layer, of an image larger than the classifier's, is averaged over its positions.
    Raises as `find_similar`.
    """
    network = network_of(predictor)
    batch = prepare(predictor, read_whole(predictor.pipeline, image))
    if predictor.task == "segment":
        with listening_to_maps(network) as maps:
            network(batch)
        vector = maps[-1][-1][0].float()
    else:
        with _last_inputs(network.heads["classify"]) as inputs:
            network(batch)
        vector = inputs[-1][0].float()
    found: NDArray[np.float32] = (
        vector.flatten(1).mean(dim=1).cpu().numpy() if vector.ndim == 3 else vector.cpu().numpy()
    )
    return found


@contextmanager
def _last_inputs(head: nn.Module) -> Iterator[list[Tensor]]:
    """The inputs of the head's layers with weights, learned or fixed, in the order they run."""
    inputs: list[Tensor] = []
    layers = [module for module in head.modules() if any(True for _ in _own_numbers(module))]
    handles = [layer.register_forward_pre_hook(lambda _m, given: inputs.append(given[0])) for layer in layers]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _own_numbers(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters(recurse=False)
    yield from module.buffers(recurse=False)
