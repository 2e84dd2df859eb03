"""An image seen in several ways, and the mean of what is said of them: test-time augmentation.

A view changes the prepared image before the network, and takes the change back from what the network says, exactly:
turns move pixels, sizes are changed back to the image's own. The network computes as many times as there are views.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from segkit.errors import UsageError
from segkit.inference.engines._base import Engine
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.mean import mean_of
from segkit.inference.outputs import BOXES, MAPS, Outputs, as_logits, as_probabilities
from segkit.inference.predictor import Predictor
from segkit.ops.boxes import BoxArray
from segkit.ops.resizing import resize
from segkit.pipeline import Pipeline

Views = Literal["flips", "d4", "scales"]

SCALES = (1.0, 0.75, 1.25)


class View(Protocol):
    """One way to see an image."""

    def show(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Prepared images (N, C, H, W) as they are seen."""
        ...

    def undo(self, outputs: Outputs, size: tuple[int, int]) -> Outputs:
        """What was said of images seen so, as of the images of `size` (H, W) themselves."""
        ...


@dataclass(frozen=True)
class Turned:
    """Mirrored left to right where `mirrored`, then turned by so many quarters against the clock."""

    quarters: int = 0
    mirrored: bool = False

    def show(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels moved, none changed."""
        seen = images[..., ::-1] if self.mirrored else images
        return np.ascontiguousarray(np.rot90(seen, self.quarters, (-2, -1)))

    def undo(self, outputs: Outputs, size: tuple[int, int]) -> Outputs:
        """Maps, and masks in boxes, turned back; boxes likewise."""
        maps = {name: self._back(outputs[name]) for name in (*MAPS, "instances/masks") if name in outputs}
        boxes = {name: self._boxes_back(outputs[name], size) for name in BOXES if name in outputs}
        return {**outputs, **maps, **boxes}

    def _back(self, maps: NDArray[np.float32]) -> NDArray[np.float32]:
        turned = np.rot90(maps, -self.quarters, (-2, -1))
        return np.ascontiguousarray(turned[..., ::-1] if self.mirrored else turned)

    def _boxes_back(self, boxes: BoxArray, size: tuple[int, int]) -> BoxArray:
        height, width = size[::-1] if self.quarters % 2 else size
        for _ in range(self.quarters):
            # What was the right side lies above, and what was the top on the left.
            left, top, right, bottom = np.moveaxis(boxes, -1, 0)
            boxes = np.stack([height - bottom, left, height - top, right], axis=-1)
            height, width = width, height
        if self.mirrored:
            left, top, right, bottom = np.moveaxis(boxes, -1, 0)
            boxes = np.stack([width - right, top, width - left, bottom], axis=-1)
        return boxes


@dataclass(frozen=True)
class Scaled:
    """Resized by a factor, to sides that the network takes: multiples of `multiple` plus `remainder`."""

    factor: float
    multiple: int
    remainder: int

    def show(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resized as `ops.resizing` does."""
        height, width = (self._side(side) for side in images.shape[-2:])
        return _resized(images, (height, width))

    def undo(self, outputs: Outputs, size: tuple[int, int]) -> Outputs:
        """Maps resized back to the image; boxes measured in its pixels."""
        seen = np.array([self._side(side) for side in size[::-1]] * 2, np.float32)
        ratios = np.array(size[::-1] * 2, np.float32) / seen
        maps = {name: _resized(outputs[name], size) for name in MAPS if name in outputs}
        boxes = {name: outputs[name] * ratios for name in BOXES if name in outputs}
        return {**outputs, **maps, **boxes}

    def _side(self, side: int) -> int:
        steps = round((side * self.factor - self.remainder) / self.multiple)
        return max(steps, 1) * self.multiple + self.remainder


def _resized(maps: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Maps (..., H, W) of another size."""
    flat = maps.reshape(-1, *maps.shape[-2:])
    resized = resize(flat.transpose(1, 2, 0), size).transpose(2, 0, 1)
    return np.ascontiguousarray(resized).reshape(*maps.shape[:-2], *size)


class ViewsEngine:
    """Runs an engine on every view of the images, and gives the mean of what it says.

    Args:
        engine: runs the network.
        views: at least one.
        name: what they are called, for people.
    """

    def __init__(self, engine: Engine, views: Sequence[View], name: str) -> None:
        self.engine = engine
        self.views = tuple(views)
        self.description = f"{engine.description}, mean of {len(self.views)} views ({name})"

    def run(self, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """As of the engine itself; logits are logarithms of the mean probabilities."""
        size = images.shape[-2], images.shape[-1]
        said = [view.undo(as_probabilities(self.engine.run(view.show(images))), size) for view in self.views]
        return dict(as_logits(mean_of(said)))


def with_views(predictor: Predictor, name: Views) -> Predictor:
    """The same predictor, looking at every image in several views.

    Args:
        predictor: of one network, or of several, each of which looks in all views.
        name: `flips`: as it is and mirrored left to right; `d4`: the eight ways to lay down a square, for images that
            mean the same whichever side is up; `scales`: as it is, smaller and larger by a quarter.

    Raises:
        UsageError: another name, or views that the network cannot be shown.
    """
    if isinstance(predictor, EnsemblePredictor):
        return EnsemblePredictor([with_views(member, name) for member in predictor.members])
    views = _views(name, predictor.pipeline)
    return _ViewsPredictor(ViewsEngine(predictor.engine, views, name), predictor)


class _ViewsPredictor(Predictor):
    """Keeps count of the memory that views take."""

    def __init__(self, engine: ViewsEngine, alone: Predictor) -> None:
        super().__init__(engine, alone.pipeline, alone.heads, alone.card, alone.notes)
        self._views = len(engine.views)

    @property
    def maps_at_once(self) -> int:
        """The maps of every view are kept until their mean is taken."""
        return super().maps_at_once + self._views


def _views(name: str, pipeline: Pipeline) -> Sequence[View]:
    makers: Mapping[str, Callable[[Pipeline], Sequence[View]]] = {"flips": _flips, "d4": _d4, "scales": _scales}
    if name not in makers:
        raise UsageError(f"'--tta {name}' is unknown; allowed are {', '.join(get_args(Views))}")
    return makers[name](pipeline)


def _flips(_: Pipeline) -> Sequence[View]:
    return Turned(), Turned(mirrored=True)


def _d4(pipeline: Pipeline) -> Sequence[View]:
    seen = pipeline.center_crop or pipeline.size
    if seen is not None and seen[0] != seen[1]:
        raise UsageError(
            f"'--tta d4' turns images, and the network takes {seen[1]} x {seen[0]} pixels, no square; use '--tta flips'"
        )
    return tuple(Turned(quarters, mirrored) for mirrored in (False, True) for quarters in range(4))


def _scales(pipeline: Pipeline) -> Sequence[View]:
    if pipeline.size is not None:
        raise UsageError("'--tta scales' needs a network of any size, and this one takes one; use '--tta flips'")
    if pipeline.margin:
        raise UsageError(
            f"'--tta scales': the network loses {pipeline.margin} pixels per side, whatever the size; use '--tta flips'"
        )
    return tuple(Scaled(factor, pipeline.stride_multiple, pipeline.stride_remainder) for factor in SCALES)
