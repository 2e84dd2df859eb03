"""What every head's decision is: of a whole image at once, or of an image of tiles step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from segkit.inference.outputs import Outputs
from segkit.inference.results import Result
from segkit.inference.tiling import Scores, Tile
from segkit.ops.boxes import BoxArray
from segkit.ops.sizes import Padding
from segkit.pipeline import ObjectRule, Pipeline, Place
from segkit.structures import ClassMap, TaskName

NO_MAPS: Scores = np.empty((0, 0, 0), np.float32)


@dataclass(frozen=True)
class Request:
    """One image that is decided on, and how.

    Attributes:
        size: (H, W) of the image.
        padding: pixels added to it before it was cut into tiles.
        place: where in the image lies what the network sees of it in one piece.
        rule: which objects are given.
        probabilities: whether a mask comes with the probabilities of its classes.
        spacing: of rows and columns in mm, where known.
        uncertainty: whether masks and classes come with how unsure the network is of them.
        temperatures: by which probabilities are shown, never decided on, 1 where a head is not named.
    """

    size: tuple[int, int]
    padding: Padding
    place: Place
    rule: ObjectRule
    probabilities: bool = False
    spacing: tuple[float, float] | None = None
    uncertainty: bool = False
    temperatures: Mapping[TaskName, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        padding: Padding,
        pipeline: Pipeline,
        probabilities: bool = False,
        spacing: tuple[float, float] | None = None,
        uncertainty: bool = False,
    ) -> Request:
        """An image of `size` that is decided on by the rules of a pipeline; the rest as the attributes."""
        place, rule, temperatures = pipeline.place_of_seen(size), pipeline.objects, pipeline.temperatures
        return cls(size, padding, place, rule, probabilities, spacing, uncertainty, temperatures)

    def from_seen(self, corners: BoxArray) -> BoxArray:
        """Boxes in pixels of what the network sees in one piece, to pixels of the image."""
        left, top, width, height = self.place
        scale, origin = np.array([width, height] * 2, np.float32), np.array([left, top] * 2, np.float32)
        return corners * scale + origin

    def from_tile(self, corners: BoxArray, tile: Tile) -> BoxArray:
        """Boxes in pixels of a tile, to pixels of the image."""
        top, _, left, _ = self.padding
        return corners + np.array([tile.columns.start - left, tile.rows.start - top] * 2, np.float32)

    def in_tiles(self, corners: BoxArray) -> BoxArray:
        """Boxes in pixels of the image, to pixels of all tiles together."""
        top, _, left, _ = self.padding
        return corners + np.array([left, top] * 2, np.float32)


class Decision(ABC):
    """What one head says of one image: made for each, and asked either `whole`, or tile by tile and at last `joined`.

    Args:
        classes: what the head's outputs stand for.
        request: the image.
    """

    def __init__(self, classes: ClassMap, request: Request) -> None:
        self.classes = classes
        self.request = request

    @abstractmethod
    def whole(self, outputs: Outputs) -> Result:
        """The result for an image that the network saw in one piece, maps as logits and cut to the image."""

    @abstractmethod
    def add_tile(self, tile: Tile, outputs: Outputs) -> Scores:
        """Take a tile's outputs, maps as probabilities; returns the maps (K, h, w) to be blended, `NO_MAPS` if none."""

    def add_block(self, rows: slice, columns: slice, scores: Scores) -> None:
        """Take finished scores (K, rows, columns) of a part of the image; never asked of a head without maps."""
        raise NotImplementedError

    @abstractmethod
    def joined(self) -> Result:
        """The result for the image of all tiles."""
