"""What the tiles of a large image add up to, head by head. No torch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from segkit.inference.decisions import Candidates, decide_boxes, decide_instances
from segkit.inference.results import ClassificationResult, Result, SegmentationResult
from segkit.inference.tiling import Axis
from segkit.ops.sizes import Padding, crop
from segkit.pipeline import ObjectRule, class_indices
from segkit.structures import ClassMap, TaskName

Scores = NDArray[np.float32]

DENSE_TASKS: tuple[TaskName, ...] = ("segment", "instances")
"""Heads with a map per class."""

EDGE = 1.0
"""Pixels from a side within which a box touches it."""

PROBABLE = (*DENSE_TASKS, "classify")
"""Outputs whose logits become probabilities before tiles are added up."""


def num_maps(heads: Mapping[TaskName, ClassMap]) -> dict[TaskName, int]:
    """Maps of each dense head: one per class, and of instances one of the border."""
    return {task: heads[task].num_classes + (task == "instances") for task in DENSE_TASKS if task in heads}


class DenseCanvas:
    """The maps of a large image, band by band from top to bottom.

    Args:
        heads: of the network.
        size: (H, W) of the padded image.
        keeps_maps: whether probabilities are wanted; else the decided classes alone are kept.
    """

    def __init__(self, heads: Mapping[TaskName, ClassMap], size: tuple[int, int], keeps_maps: bool) -> None:
        self._heads = heads
        self._counts = num_maps(heads)
        self.channels = sum(self._counts.values())
        self._maps = np.empty((self.channels, *size), np.float32) if keeps_maps else None
        self._mask = np.empty(size, heads["segment"].id_dtype) if "segment" in heads else None

    def add(self, rows: slice, scores: Scores) -> None:
        """Take a finished band (K, rows, W): the maps of all dense heads, one after the other."""
        if self._mask is not None:
            segment = scores[: self._counts["segment"]]
            self._mask[rows] = self._heads["segment"].indices_to_ids(class_indices(segment))
        if self._maps is not None:
            self._maps[:, rows] = scores

    def results(self, padding: Padding, rule: ObjectRule, probabilities: bool) -> dict[TaskName, Result]:
        """The results of the dense heads, without the padding; objects grow over the whole image."""
        found: dict[TaskName, Result] = {}
        maps = None if self._maps is None else crop(self._maps, padding)
        if self._mask is not None:
            kept = maps[: self._counts["segment"]] if probabilities and maps is not None else None
            found["segment"] = SegmentationResult(crop(self._mask, padding), self._heads["segment"], kept)
        if "instances" in self._counts:
            assert maps is not None
            found["instances"] = decide_instances(maps[-self._counts["instances"] :], self._heads["instances"], rule)
        return found


class TileTally:
    """What tiles say beside their maps: boxes, and the class of the whole.

    An object that a tile shows in part only is seen whole by the next tile where it is no larger than the strip they
    share; so boxes that touch a side of a tile inside the image do not count where the object lies in that strip.

    Args:
        heads: of the network.
        rule: of the pipeline.
        size: (H, W) of the image.
        padding: of the image, before it was cut into tiles.
    """

    def __init__(
        self, heads: Mapping[TaskName, ClassMap], rule: ObjectRule, size: tuple[int, int], padding: Padding
    ) -> None:
        self._heads = heads
        self._rule = rule
        self._size = size
        self._padding = padding
        self._candidates: list[Candidates] = []
        self._classes: list[Scores] = []
        self.axes: tuple[Axis, Axis] | None = None
        """Rows and columns of the tiles, set before the first is added."""

    def add(self, rows: slice, columns: slice, outputs: Mapping[str, Scores], found: Candidates | None) -> Scores:
        """Take the outputs of one tile and return its maps (K, H, W) for blending, none without dense heads."""
        if found is not None:
            self._candidates.append(self._in_image(found, rows, columns))
        if "classify" in self._heads:
            self._classes.append(outputs["classify"])
        maps = [outputs[task] for task in DENSE_TASKS if task in self._heads]
        if not maps:
            return np.empty((0, rows.stop - rows.start, columns.stop - columns.start), np.float32)
        return np.concatenate(maps)

    def results(self) -> dict[TaskName, Result]:
        """Boxes of all tiles without doubles, and the mean of the tiles' class probabilities."""
        found: dict[TaskName, Result] = {}
        if "detect" in self._heads:
            classes = self._heads["detect"]
            found["detect"] = decide_boxes(self._candidates, (1.0, 1.0), self._size, classes, self._rule)
        if "classify" in self._heads:
            mean: Scores = np.stack(self._classes).mean(axis=0)
            found["classify"] = ClassificationResult(mean, self._heads["classify"].names)
        return found

    def _in_image(self, found: Candidates, rows: slice, columns: slice) -> Candidates:
        """The tile's boxes in pixels of the image, without those that another tile shows whole."""
        assert self.axes is not None
        down, across = self.axes
        corners = found.corners
        kept = np.ones(len(corners), np.bool_)
        for axis, span, low, high in ((across, columns, 0, 2), (down, rows, 1, 3)):
            position = axis.starts.index(span.start)
            before = axis.starts[position - 1] + axis.length - span.start if position else 0
            after = span.stop - axis.starts[position + 1] if position + 1 < len(axis.starts) else 0
            length = span.stop - span.start
            if before:
                kept &= (corners[:, low] > EDGE) | (corners[:, high] > before)
            if after:
                kept &= (corners[:, high] < length - EDGE) | (corners[:, low] < length - after)
        top, _, left, _ = self._padding
        shift = np.array([columns.start - left, rows.start - top] * 2, np.float32)
        return Candidates(corners[kept] + shift, found.labels[kept], found.scores[kept])
