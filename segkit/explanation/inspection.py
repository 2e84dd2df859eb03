"""Everything there is to see of a network on one image, as pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.explanation.activations import Activation, activations, convolutions, first_filters
from segkit.explanation.heat import Heat, grad_cam, likely_classes, occlusion
from segkit.explanation.subject import Subject, open_subject
from segkit.inference.predictor import Predictor
from segkit.inference.results import ClassificationResult, SegmentationResult
from segkit.structures import Progress
from segkit.visualization.display import to_display
from segkit.visualization.mosaic import filter_tiles, heat_over, map_tile, mosaic
from segkit.visualization.overlay import overlay

SHOWN_CLASSES = 3
SHOWN_LAYERS = 24
SHOWN_MAPS = 16
SHOWN_FILTERS = 256
_FILTER_SIDE, _MAP_SIDE = 40, 112


@dataclass(frozen=True)
class Picture:
    """One picture and what it shows.

    Attributes:
        file: path below the folder of results.
        caption: for a person.
        pixels: RGB (H, W, 3).
    """

    file: str
    caption: str
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Inspection:
    """What was seen, in groups: `image`, `grad_cam`, `occlusion`, `filters`, `activations`.

    Attributes:
        task: of the network.
        backbone: its name.
        answer: what the network says of the image, in words.
        groups: pictures by group.
        layers: convolutions of the network; `activations` shows some of them where they are many.
    """

    task: str
    backbone: str
    answer: str
    groups: dict[str, tuple[Picture, ...]]
    layers: int


def inspect(predictor: Predictor, image: str | Path, progress: Progress | None = None) -> Inspection:
    """Look into a network while it looks at an image.

    Args:
        predictor: the network with its pipeline.
        image: a file.
        progress: called while parts of the image are covered, which takes nearly all of the time.

    Raises:
        UnreadableFileError, UsageError: as `open_subject`.
    """
    subject = open_subject(predictor, image)
    chosen = likely_classes(subject, SHOWN_CLASSES)
    names = {index: predictor.classes.names[index] for index in chosen}
    layers = len(convolutions(subject))
    found = activations(subject, _evenly(layers, SHOWN_LAYERS), SHOWN_MAPS)
    cams = [grad_cam(subject, index) for index in chosen]
    falls = occlusion(subject, chosen, progress)
    answer, shown = _answer(predictor, subject, image)
    groups = {
        "image": (Picture("image.png", "Image", to_display(subject.image)), *shown),
        "grad_cam": _heat_pictures("grad_cam", subject, names, cams),
        "occlusion": _heat_pictures("occlusion", subject, names, falls, " (largest fall of the probability {:.2g})"),
        "filters": _filter_pictures(first_filters(subject.network)),
        "activations": _activation_pictures(found),
    }
    return Inspection(subject.task, subject.network.config.backbone, answer, groups, layers)


def _answer(predictor: Predictor, subject: Subject, image: str | Path) -> tuple[str, tuple[Picture, ...]]:
    """What the network says, and its mask over the image."""
    result = predictor.predict(image)
    if isinstance(result, ClassificationResult):
        return ", ".join(f"{name} {share:.1%}" for name, share in result.top(SHOWN_CLASSES)), ()
    assert isinstance(result, SegmentationResult)  # open_subject takes no other network
    shares = sorted(result.shares().items(), key=lambda item: -item[1])
    words = ", ".join(f"{name} {share:.1%}" for name, share in shares if share > 0)
    drawn = overlay(subject.image, result.mask, result.classes)
    return words, (Picture("prediction.png", "Prediction", drawn),)


def _heat_pictures(
    kind: str, subject: Subject, names: Mapping[int, str], heats: Sequence[Heat], detail: str = ""
) -> tuple[Picture, ...]:
    """One picture per class; its index keeps apart the names that are equal as file names."""
    pictures = []
    for (index, name), heat in zip(names.items(), heats, strict=True):
        file = f"{kind}_{index}_{_plain(name)}.png"
        pictures.append(Picture(file, name + detail.format(heat.peak), heat_over(subject.image, heat.values)))
    return tuple(pictures)


def _filter_pictures(filters: NDArray[np.float32]) -> tuple[Picture, ...]:
    if len(filters) == 0:
        return ()
    count, channels, height, width = filters.shape
    tiles = filter_tiles(filters)
    by = "" if channels in (1, 3) else f", one picture per input channel ({channels})"
    shown = f", the first {SHOWN_FILTERS} pictures" if len(tiles) > SHOWN_FILTERS else ""
    columns = min(16, len(tiles))
    picture = mosaic(tiles[:SHOWN_FILTERS], _FILTER_SIDE, columns)
    return (Picture("filters.png", f"{count} filters of {height} x {width}{by}{shown}", picture),)


def _activation_pictures(found: Sequence[Activation]) -> tuple[Picture, ...]:
    pictures = []
    for number, activation in enumerate(found, start=1):
        channels, height, width = activation.shape
        tiles = [map_tile(map_) for map_ in activation.maps]
        caption = f"{activation.name}: {channels} maps of {height} x {width}"
        file = f"activations/{number:02d}_{_plain(activation.name)}.png"
        pictures.append(Picture(file, caption, mosaic(tiles, _MAP_SIDE, 4)))
    return tuple(pictures)


def _evenly(count: int, most: int) -> list[int]:
    """At most so many positions below `count`, evenly spaced, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(step * (count - 1) / (most - 1)) for step in range(most)]


def _plain(name: str) -> str:
    """A name as part of a file name."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_") or "class"
