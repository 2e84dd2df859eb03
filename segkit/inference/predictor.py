"""From an image to its result: the one path that validation, evaluation, prediction and the app share.

The network runs once per image or tile; from its outputs every head's decision is made (`segkit.inference.decisions`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segkit.errors import UsageError
from segkit.inference.decisions import DECISIONS, Decision, Request
from segkit.inference.engines._base import Engine
from segkit.inference.image_parts import open_image
from segkit.inference.outputs import BOXES, MAPS, UNBATCHED, Outputs, as_probabilities
from segkit.inference.results import (
    ClassificationResult,
    CombinedResult,
    DetectionResult,
    InstanceResult,
    Result,
    SegmentationResult,
)
from segkit.inference.tile_plan import TilePlan
from segkit.inference.tiling import Scores, Tile, blend
from segkit.modelfile import ModelCard
from segkit.ops.scores import class_indices
from segkit.ops.sizes import ImageParts, Padding, crop, pad_mirrored, padding_to_multiple
from segkit.pipeline import Pipeline
from segkit.structures import TASKS, ClassMap, TaskName

Image = str | Path | ImageParts
Spacing = tuple[float, float]

CORNER = 128
"""Side of the tile by which a network is known."""


class IdBlock(NamedTuple):
    """A finished part of a mask: its rows and columns, and the class ids (rows, columns) there."""

    rows: slice
    columns: slice
    ids: NDArray[np.uint8 | np.uint16]


class Predictor:
    """Runs a network on images of any size; equal engine, precision and device give equal bits.

    Args:
        engine: runs the network.
        pipeline: what happens to the image before and to the outputs after.
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

    @property
    def threshold(self) -> float:
        """Score from which boxes are shown and counted."""
        return self.pipeline.objects.threshold

    def predict(
        self,
        image: Image,
        probabilities: bool = False,
        spacing: Spacing | None = None,
        uncertainty: bool = False,
    ) -> Result | CombinedResult:
        """Predict one image: the result of the model's head, or those of all its heads from one run of the network.

        Args:
            image: a file, or stored values (H, W) or (H, W, C) as `read_image` returns them; of a TIFF file of more
                than `LARGE` pixels no more is in memory than what the tiles need.
            probabilities: whether a mask comes with a map of probabilities for every class.
            spacing: distance between rows and between columns in mm, where the image is no file, which states its own.
            uncertainty: whether masks and classes come with how unsure the network is of them.

        Raises:
            UnreadableFileError: the file is no image.
            UsageError: the number of channels is not the model's.
        """
        results = self._results(image, tuple(self.heads), probabilities, spacing, uncertainty)
        return results[self.task] if len(results) == 1 else CombinedResult.of(results)

    def segment(self, image: Image, probabilities: bool = False, uncertainty: bool = False) -> SegmentationResult:
        """The mask of one image, of exactly its height and width.

        Takes and raises what `predict` does, and `UsageError` where the model does not segment.
        """
        result = self._result(image, "segment", probabilities, uncertainty=uncertainty)
        assert isinstance(result, SegmentationResult)
        return result

    def classify(self, image: Image) -> ClassificationResult:
        """The class probabilities of one image; takes and raises what `segment` does."""
        result = self._result(image, "classify")
        assert isinstance(result, ClassificationResult)
        return result

    def detect(self, image: Image) -> DetectionResult:
        """The boxes in one image, the unsure ones as well; takes and raises what `segment` does."""
        result = self._result(image, "detect")
        assert isinstance(result, DetectionResult)
        return result

    def instances(self, image: Image, spacing: Spacing | None = None) -> InstanceResult:
        """The objects in one image, pixel by pixel; takes and raises what `predict` and `segment` do."""
        result = self._result(image, "instances", spacing=spacing)
        assert isinstance(result, InstanceResult)
        return result

    def tile_plan(self, size: tuple[int, int]) -> TilePlan:
        """The tiles of an image of `size` (H, W)."""
        return TilePlan.of(size, self._padding(*size), self.pipeline)

    def mask_blocks(self, image: ImageParts, done: int = 0) -> Iterator[IdBlock]:
        """The mask that `segment` gives of an image in tiles, block by block, a row of blocks after the other.

        Args:
            image: stored values (H, W, C).
            done: rows of tiles of the image's `tile_plan` whose blocks are not wanted.
        """
        self.require("segment")
        plan, outputs_of = self.tile_plan((image.shape[0], image.shape[1])), self._tile_outputs(image)
        parts = plan.parts(image, plan.down.first_counting(done))
        for block in blend(((tile, outputs_of(part)["segment"]) for tile, part in parts), done):
            rows, columns, scores = plan.in_image(block)
            yield IdBlock(rows, columns, self.heads["segment"].indices_to_ids(class_indices(scores)))

    def answer_to_corner(self, image: ImageParts) -> Scores:
        """The mask's scores of a small tile in an image's corner, by which a network is known."""
        size, small = (image.shape[0], image.shape[1]), self.pipeline.model_copy(update={"tile": CORNER})
        _, part = next(TilePlan.of(size, self._padding(*size), small).parts(image))
        return self._tile_outputs(part)(part)["segment"]

    @property
    def maps_at_once(self) -> int:
        """Maps per class and pixel of a tile that are in memory at once: logits, probabilities, and these weighted."""
        return 4

    def require(self, task: TaskName) -> None:
        """Raise `UsageError` where no head of the model does it."""
        if task in self.heads:
            return
        known = ", ".join(map(repr, self.heads))
        said = f"task is {known}" if len(self.heads) == 1 else f"tasks are {known}"
        raise UsageError(f"the model's {said}, not {task!r}; use 'predict', or a model of that task")

    def _result(
        self,
        image: Image,
        task: TaskName,
        probabilities: bool = False,
        spacing: Spacing | None = None,
        uncertainty: bool = False,
    ) -> Result:
        self.require(task)
        return self._results(image, (task,), probabilities, spacing, uncertainty)[task]

    def _results(
        self,
        image: Image,
        tasks: Collection[TaskName],
        probabilities: bool,
        spacing: Spacing | None,
        uncertainty: bool,
    ) -> dict[TaskName, Result]:
        """What the heads of these tasks say of one image."""
        if isinstance(image, str | Path):
            with open_image([Path(image)]) as opened:
                return self._results(opened.values, tasks, probabilities, opened.spacing, uncertainty)
        stored = self.pipeline.with_channels(image) if isinstance(image, np.ndarray) else image
        size = stored.shape[0], stored.shape[1]
        pipeline, padding = self.pipeline, self._padding(*size)
        request = Request.of(size, padding, pipeline, probabilities, spacing, uncertainty)
        decisions = {task: DECISIONS[task](self.heads[task], request) for task in tasks}
        if pipeline.size is None and size[0] * size[1] > pipeline.whole_limit:
            self._show_tiles(stored, list(decisions.values()))
            return {task: decision.joined() for task, decision in decisions.items()}
        outputs = self._outputs(stored[:, :])
        return {task: decision.whole(outputs) for task, decision in decisions.items()}

    def _show_tiles(self, image: ImageParts, decisions: Sequence[Decision]) -> None:
        """Show the decisions every tile of an image, and the blocks that their maps are blended to."""
        plan = self.tile_plan((image.shape[0], image.shape[1]))
        outputs_of, counts = self._tile_outputs(image), [0] * len(decisions)

        def maps_of(tile: Tile, part: NDArray[Any]) -> Scores:
            outputs = outputs_of(part)
            maps = [decision.add_tile(tile, outputs) for decision in decisions]
            counts[:] = map(len, maps)
            blended = [part for part in maps if len(part)]
            return np.concatenate(blended) if blended else np.empty((0, tile.down.length, tile.across.length), "f4")

        for block in blend((tile, maps_of(tile, part)) for tile, part in plan.parts(image)):
            rows, columns, scores = plan.in_image(block)
            for decision, part in zip(decisions, np.split(scores, np.cumsum(counts)[:-1]), strict=True):
                if len(part):
                    decision.add_block(rows, columns, part)

    def _tile_outputs(self, image: ImageParts) -> Callable[[NDArray[Any]], Outputs]:
        """What gives the outputs, logits as probabilities, of a tile of an image, its margin included in the tile."""
        scale = self.pipeline.scale_of(image)
        return lambda tile: as_probabilities(self._run(self.pipeline.prepare(tile, scale)))

    def _outputs(self, stored: NDArray[Any]) -> Outputs:
        """Outputs for a whole image: maps (K, H, W), logits (K,), boxes, in pixels of what the pipeline prepares.

        The network wants multiples of its stride and loses `margin` pixels per side: it is given more, mirrored.
        """
        prepared = self.pipeline.prepare(stored)
        padding = self._padding(prepared.shape[1], prepared.shape[2])
        outputs = self._run(pad_mirrored(prepared, _wider(padding, self.pipeline.margin)))
        top, _, left, _ = padding
        corner = np.array([left, top, left, top], np.float32)
        maps = {name: crop(outputs[name], padding) for name in MAPS if name in outputs}
        boxes = {name: outputs[name] - corner for name in BOXES if name in outputs}
        return {**outputs, **maps, **boxes}

    def _padding(self, height: int, width: int) -> Padding:
        """Pixels that an image lacks to a size the network takes and knows from training, its margin not counted."""
        pipeline = self.pipeline
        multiple, remainder = pipeline.stride_multiple, pipeline.stride_remainder
        return padding_to_multiple(height, width, multiple, pipeline.smallest, remainder)

    def _run(self, prepared: NDArray[np.float32]) -> Outputs:
        """Outputs of one prepared image (C, H, W): never a batch of several, whose size could change the bits."""
        outputs = self.engine.run(prepared[None])
        return {name: output if name.startswith(UNBATCHED) else output[0] for name, output in outputs.items()}


def _wider(padding: Padding, margin: int) -> Padding:
    top, bottom, left, right = padding
    return top + margin, bottom + margin, left + margin, right + margin
