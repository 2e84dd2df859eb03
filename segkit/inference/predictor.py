"""From an image to its result: the one path that validation, evaluation, prediction and the app share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.data.image_io import read_image
from segkit.errors import UsageError
from segkit.inference.decisions import Candidates, decide_boxes, decide_instances, find_candidates
from segkit.inference.engines._base import Engine
from segkit.inference.results import (
    ClassificationResult,
    CombinedResult,
    DetectionResult,
    InstanceResult,
    Result,
    SegmentationResult,
)
from segkit.inference.tiled import DENSE_TASKS, PROBABLE, DenseCanvas, TileTally
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

    def predict(self, image: Image, probabilities: bool = False) -> Result | CombinedResult:
        """Predict one image: the result of the model's task, or of all its heads from one pass of the network.

        Args:
            image: a file, or stored values (H, W) or (H, W, C) as `read_image` returns them.
            probabilities: whether masks come with a map of probabilities for every class.

        Raises:
            UnreadableFileError: the file is no image.
            UsageError: the number of channels is not the model's.
        """
        results = self._predict(image, probabilities)
        return results[self.task] if len(results) == 1 else CombinedResult.of(results)

    def segment(self, image: Image, probabilities: bool = False) -> SegmentationResult:
        """The mask of one image, of exactly its height and width.

        Takes and raises what `predict` does, `UsageError` also where the model does not segment.
        """
        result = self._result(image, "segment", probabilities)
        assert isinstance(result, SegmentationResult)
        return result

    def classify(self, image: Image) -> ClassificationResult:
        """The class probabilities of one image; takes and raises what `segment` does."""
        result = self._result(image, "classify")
        assert isinstance(result, ClassificationResult)
        return result

    def detect(self, image: Image) -> DetectionResult:
        """The boxes in one image, unsure ones as well; takes and raises what `segment` does."""
        result = self._result(image, "detect")
        assert isinstance(result, DetectionResult)
        return result

    def instances(self, image: Image) -> InstanceResult:
        """The objects in one image pixel by pixel; takes and raises what `segment` does."""
        result = self._result(image, "instances")
        assert isinstance(result, InstanceResult)
        return result

    def _result(self, image: Image, task: TaskName, probabilities: bool = False) -> Result:
        if task not in self.heads:
            tasks = ", ".join(map(repr, self.heads))
            raise UsageError(f"the model's task is {tasks}, not {task!r}; use 'predict', or a model of that task")
        return self._predict(image, probabilities)[task]

    def _predict(self, image: Image, probabilities: bool) -> dict[TaskName, Result]:
        stored = self.pipeline.with_channels(image if isinstance(image, np.ndarray) else read_image(image))
        pixels = stored.shape[0] * stored.shape[1]
        if self.pipeline.size is None and pixels > self.pipeline.whole_limit:
            return self._predict_in_tiles(stored, probabilities)
        outputs = self._outputs(stored)
        return {task: self._decide(task, outputs, stored, probabilities) for task in self.heads}

    def _decide(
        self, task: TaskName, outputs: Mapping[str, Scores], stored: NDArray[Any], probabilities: bool
    ) -> Result:
        """The result of one head, from the outputs of one pass over a whole image."""
        classes, size = self.heads[task], (stored.shape[0], stored.shape[1])
        if task == "classify":
            return ClassificationResult(softmax(outputs[task], axis=0), classes.names)
        if task == "detect":
            found = self._candidates(outputs)
            seen = self.pipeline.size or size
            scale = size[1] / seen[1], size[0] / seen[0]
            return decide_boxes([found], scale, size, classes, self.pipeline.objects)
        if task == "instances":
            return decide_instances(softmax(outputs[task], axis=0), classes, self.pipeline.objects)
        maps = softmax(outputs[task], axis=0) if probabilities else None
        return SegmentationResult(classes.indices_to_ids(class_indices(outputs[task])), classes, maps)

    def _candidates(self, outputs: Mapping[str, Scores]) -> Candidates:
        logits, boxes, centerness = (outputs[name] for name in ("detect", "detect/boxes", "detect/centerness"))
        return find_candidates(logits, boxes, centerness, self.pipeline.objects)

    def _predict_in_tiles(self, stored: NDArray[Any], probabilities: bool) -> dict[TaskName, Result]:
        """Every head's result of an image too large for one piece; the network sees each tile once."""
        size = stored.shape[0], stored.shape[1]
        padding = self._padding(*size)
        tally = TileTally(self.heads, self.pipeline.objects, size, padding)
        margin = self.pipeline.margin
        bordered = pad_mirrored(stored.transpose(2, 0, 1), _wider(padding, margin)).transpose(1, 2, 0)
        height, width = bordered.shape[0] - 2 * margin, bordered.shape[1] - 2 * margin
        of_tile = self._tile_scorer(stored)

        def predict_tile(rows: slice, columns: slice) -> Scores:
            tile = bordered[rows.start : rows.stop + 2 * margin, columns.start : columns.stop + 2 * margin]
            outputs = of_tile(tile)
            found = self._candidates(outputs) if "detect" in self.heads else None
            return tally.add(rows, columns, outputs, found)

        pipeline = self.pipeline
        rule = pipeline.tile, pipeline.overlap, pipeline.stride_multiple, pipeline.stride_remainder
        down, across = Axis.plan(height, *rule), Axis.plan(width, *rule)
        keeps_maps = probabilities or "instances" in self.heads
        canvas = DenseCanvas(self.heads, (height, width), keeps_maps)
        tally.axes = down, across
        for rows, scores in blend(down, across, canvas.channels, predict_tile):
            canvas.add(rows, scores)
        return tally.results() | canvas.results(padding, self.pipeline.objects, probabilities)

    def _tile_scorer(self, stored: NDArray[Any]) -> Callable[[NDArray[Any]], dict[str, Scores]]:
        """What gives the outputs of a tile of an image, its margin included in the tile; maps as probabilities."""
        scale = self.pipeline.scale_of(stored)

        def score(tile: NDArray[Any]) -> dict[str, Scores]:
            outputs = self._run(self.pipeline.prepare(tile, scale))
            return {name: softmax(map_, axis=0) if name in PROBABLE else map_ for name, map_ in outputs.items()}

        return score

    def _outputs(self, stored: NDArray[Any]) -> dict[str, Scores]:
        """The outputs for a whole image: maps (K, H, W), logits (K,), boxes in pixels of the image the network saw.

        The network wants multiples of its stride and loses `margin` pixels per side: it is given more, mirrored.
        """
        prepared = self.pipeline.prepare(stored)
        padding = self._padding(prepared.shape[1], prepared.shape[2])
        outputs = self._run(pad_mirrored(prepared, _wider(padding, self.pipeline.margin)))
        for task in DENSE_TASKS:
            if task in outputs:
                outputs[task] = crop(outputs[task], padding)
        if "detect/boxes" in outputs:
            top, _, left, _ = padding
            outputs["detect/boxes"] = outputs["detect/boxes"] - np.array([left, top, left, top], np.float32)
        return outputs

    def _padding(self, height: int, width: int) -> Padding:
        """Pixels that an image lacks to a size the network takes and knows from training, its margin not counted."""
        pipeline = self.pipeline
        multiple, remainder = pipeline.stride_multiple, pipeline.stride_remainder
        return padding_to_multiple(height, width, multiple, pipeline.smallest, remainder)

    def _run(self, prepared: NDArray[np.float32]) -> dict[str, Scores]:
        """Outputs of one prepared image (C, H, W): never a batch of several, whose size could change the bits."""
        return {name: output[0] for name, output in self.engine.run(prepared[None]).items()}


def _wider(padding: Padding, margin: int) -> Padding:
    top, bottom, left, right = padding
    return top + margin, bottom + margin, left + margin, right + margin
