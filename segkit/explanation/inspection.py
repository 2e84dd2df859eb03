"""Everything there is to see of a network on one image, as pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segkit.explanation.activations import Activation, activations, convolutions, first_filters
from segkit.explanation.heat import Heat, grad_cam, likely_classes, occlusion
from segkit.explanation.subject import Subject, open_subject
from segkit.inference.predictor import Predictor
from segkit.inference.results import (
    ClassificationResult,
    CombinedResult,
    DetectionResult,
    Result,
    SegmentationResult,
)
from segkit.structures import Progress, TaskName
from segkit.visualization.display import to_display
from segkit.visualization.mosaic import filter_tiles, heat_over, map_tile, mosaic

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
        backbone: of the network.
        answers: what each head says of the image, in words.
        groups: pictures by group.
        layers: convolutions of the network; `activations` shows some of them where they are many.
    """

    backbone: str
    answers: Mapping[TaskName, str]
    groups: dict[str, tuple[Picture, ...]]
    layers: int


def inspect(
    predictor: Predictor, image: str | Path, progress: Progress | None = None, head: TaskName | None = None
) -> Inspection:
    """Look into a network while it looks at an image.

    Args:
        predictor: the network with its pipeline.
        image: a file.
        progress: called while parts of the image are covered, which takes nearly all of the time, once for each head.
        head: the one whose classes are explained; all where None.

    Raises:
        UnreadableFileError, UsageError: as `open_subject`.
    """
    subjects = [open_subject(predictor, image, one) for one in ([head] if head else predictor.heads)]
    first = subjects[0]
    layers = len(convolutions(first))
    found = activations(first, _evenly(layers, SHOWN_LAYERS), SHOWN_MAPS)
    cams, falls = _heat_pictures(subjects, progress)
    answers, shown = _answers(predictor, first, image)
    groups = {
        "image": (Picture("image.png", "Image", to_display(first.image)), *shown),
        "grad_cam": cams,
        "occlusion": falls,
        "filters": _filter_pictures(first_filters(first.network)),
        "activations": _activation_pictures(found),
    }
    return Inspection(first.network.config.backbone, answers, groups, layers)


def _answers(
    predictor: Predictor, subject: Subject, image: str | Path
) -> tuple[dict[TaskName, str], tuple[Picture, ...]]:
    """What the heads say, and what they find drawn over the image."""
    result, least = predictor.predict(image), predictor.pipeline.objects.threshold
    shown = result.above(least) if isinstance(result, DetectionResult | CombinedResult) else result
    parts = shown.results() if isinstance(shown, CombinedResult) else {predictor.task: shown}
    answers = {head: _in_words(part) for head, part in parts.items()}
    if isinstance(shown, ClassificationResult):
        return answers, ()
    return answers, (Picture("prediction.png", "Prediction", shown.draw(subject.image)),)


def _in_words(result: Result) -> str:
    match result:
        case ClassificationResult():
            return ", ".join(f"{name} {share:.1%}" for name, share in result.top(SHOWN_CLASSES))
        case SegmentationResult():
            shares = sorted(result.shares().items(), key=lambda item: -item[1])
            return ", ".join(f"{name} {share:.1%}" for name, share in shares if share > 0)
        case _:
            return ", ".join(f"{count} {name}" for name, count in Counter(result.names).most_common()) or "nothing"


def _heat_pictures(
    subjects: Sequence[Subject], progress: Progress | None
) -> tuple[tuple[Picture, ...], tuple[Picture, ...]]:
    """Grad-CAM and occlusion of the likely classes of every head; of several heads each picture says its own."""
    cams: list[Picture] = []
    falls: list[Picture] = []
    for subject in subjects:
        head = subject.head if len(subjects) > 1 else ""
        classes = likely_classes(subject, SHOWN_CLASSES)
        cams += [_heat_picture("grad_cam", head, subject, index, grad_cam(subject, index)) for index in classes]
        for index, heat in zip(classes, occlusion(subject, classes, progress), strict=True):
            detail = f" (largest fall of the probability {heat.peak:.2g})"
            falls.append(_heat_picture("occlusion", head, subject, index, heat, detail))
    return tuple(cams), tuple(falls)


def _heat_picture(kind: str, head: str, subject: Subject, index: int, heat: Heat, detail: str = "") -> Picture:
    """The index of the class keeps apart the names that are equal as file names."""
    name = subject.names[index]
    file = "_".join(filter(None, (kind, head, str(index), _plain(name))))
    caption = f"{head}: {name}{detail}" if head else name + detail
    return Picture(f"{file}.png", caption, heat_over(subject.image, heat.values))


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
