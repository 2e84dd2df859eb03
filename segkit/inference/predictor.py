"""From an image to its result: the one path that validation, evaluation, prediction and the app share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import read_image
from segkit.errors import UsageError
from segkit.inference.engines._base import Engine
from segkit.inference.results import ClassificationResult, SegmentationResult
from segkit.inference.tiling import Axis, blend
from segkit.modelfile import ModelCard
from segkit.ops.sizes import Padding, crop, pad_mirrored, padding_to_multiple
from segkit.pipeline import Pipeline, class_indices, softmax
from segkit.structures import TASKS, ClassMap, TaskName

Image = str | Path | NDArray[Any]
Scores = NDArray[np.float32]


class Predictor:
    """Runs a network on images of any size; equal engine, precision and device give equal bits.

    Args:
        engine: runs the network.
        pipeline: what happens to the image before and to the logits after.
        heads: what the network predicts, each with the classes its outputs stand for.
        card: the model file's card, where it came from a file.
        notes: what the user should be told about how the model was loaded.
    """

    def __init__(
        self,
        engine: Engine,
        pipeline: Pipeline,
        heads: Mapping[TaskName, ClassMap],
        card: ModelCard | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.engine = engine
        self.pipeline = pipeline
        self.heads = {task: heads[task] for task in TASKS if task in heads}
        self.card = card
        self.notes = tuple(notes)

    @property
    def task(self) -> TaskName:
        """What the main head predicts, the first."""
        return next(iter(self.heads))

    @property
    def classes(self) -> ClassMap:
        """The classes of the main head."""
        return self.heads[self.task]

    def predict(self, image: Image, probabilities: bool = False) -> SegmentationResult | ClassificationResult:
        """Predict one image: `segment` or `classify`, whichever the model does."""
        return self.classify(image) if self.task == "classify" else self.segment(image, probabilities)

    def segment(self, image: Image, probabilities: bool = False) -> SegmentationResult:
        """The mask of one image, of exactly its height and width.

        Args:
            image: a file, or stored values (H, W) or (H, W, C) as `read_image` returns them.
            probabilities: whether the result holds a map of probabilities for every class.

        Raises:
            UnreadableFileError: the file is no image.
            UsageError: the number of channels is not the model's, or the model does not segment.
        """
        stored = self._stored(image, "segment")
        if stored.shape[0] * stored.shape[1] > self.pipeline.whole_limit:
            return self._segment_in_tiles(stored, probabilities)
        logits = self._logits(stored)
        maps = softmax(logits, axis=0) if probabilities else None
        return SegmentationResult(self.classes.indices_to_ids(class_indices(logits)), self.classes, maps)

    def classify(self, image: Image) -> ClassificationResult:
        """The class probabilities of one image; takes and raises what `segment` does."""
        logits = self._logits(self._stored(image, "classify"))
        return ClassificationResult(softmax(logits, axis=0), self.classes.names)

    def _stored(self, image: Image, task: TaskName) -> NDArray[Any]:
        if task != self.task:
            raise UsageError(f"the model's task is {self.task!r}, not {task!r}; use 'predict', or a model of that task")
        return self.pipeline.with_channels(image if isinstance(image, np.ndarray) else read_image(image))

    def _segment_in_tiles(self, stored: NDArray[Any], probabilities: bool) -> SegmentationResult:
        pipeline, margin = self.pipeline, self.pipeline.margin
        padding = self._padding(stored.shape[0], stored.shape[1])
        bordered = pad_mirrored(stored.transpose(2, 0, 1), _wider(padding, margin)).transpose(1, 2, 0)
        height, width = bordered.shape[0] - 2 * margin, bordered.shape[1] - 2 * margin
        of_tile = self._tile_scorer(stored)

        def predict_tile(rows: slice, columns: slice) -> Scores:
            return of_tile(bordered[rows.start : rows.stop + 2 * margin, columns.start : columns.stop + 2 * margin])

        num_classes = self.classes.num_classes
        mask = np.empty((height, width), self.classes.id_dtype)
        maps = np.empty((num_classes, height, width), np.float32) if probabilities else None
        rule = pipeline.tile, pipeline.overlap, pipeline.stride_multiple, pipeline.stride_remainder
        down, across = Axis.plan(height, *rule), Axis.plan(width, *rule)
        for rows, scores in blend(down, across, num_classes, predict_tile):
            mask[rows] = self.classes.indices_to_ids(class_indices(scores))
            if maps is not None:
                maps[:, rows] = scores
        return SegmentationResult(crop(mask, padding), self.classes, None if maps is None else crop(maps, padding))

    def _tile_scorer(self, stored: NDArray[Any]) -> Callable[[NDArray[Any]], Scores]:
        """What gives the probabilities (K, H, W) of a tile of an image, its margin included in the tile."""
        scale = self.pipeline.scale_of(stored)
        return lambda tile: softmax(self._run(self.pipeline.prepare(tile, scale)), axis=0)

    def _logits(self, stored: NDArray[Any]) -> Scores:
        """Logits of a whole image: (K, H, W), or (K,) for classification.

        The network wants multiples of its stride and loses `margin` pixels per side: it is given more, mirrored.
        """
        prepared = self.pipeline.prepare(stored)
        padding = self._padding(prepared.shape[1], prepared.shape[2])
        logits = self._run(pad_mirrored(prepared, _wider(padding, self.pipeline.margin)))
        return crop(logits, padding) if self.task == "segment" else logits

    def _padding(self, height: int, width: int) -> Padding:
        """Pixels that an image lacks to a size the network takes and knows from training, its margin not counted."""
        pipeline = self.pipeline
        multiple, remainder = pipeline.stride_multiple, pipeline.stride_remainder
        return padding_to_multiple(height, width, multiple, pipeline.smallest, remainder)

    def _run(self, prepared: NDArray[np.float32]) -> Scores:
        """Logits of one prepared image (C, H, W): never a batch of several, whose size could change the bits."""
        return self.engine.run(prepared[None])[self.task][0]


def _wider(padding: Padding, margin: int) -> Padding:
    top, bottom, left, right = padding
    return top + margin, bottom + margin, left + margin, right + margin
