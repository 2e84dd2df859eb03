"""The tiles of one image: where they lie, how they are read, and where in the image the blended blocks belong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from segkit.inference.reading_ahead import read_ahead
from segkit.inference.tiling import Axis, Block, Tile, tiles
from segkit.ops.sizes import ImageParts, Padding, take_mirrored
from segkit.pipeline import Pipeline


@dataclass(frozen=True)
class TilePlan:
    """The tiles of an image.

    Attributes:
        size: (H, W) of the image.
        padding: pixels added to it before it is cut into tiles, mirrored.
        margin: pixels that a tile is given on each side besides, as the network loses them.
        down: the tiles along its height, padding included.
        across: the tiles along its width.
    """

    size: tuple[int, int]
    padding: Padding
    margin: int
    down: Axis
    across: Axis

    @classmethod
    def of(cls, size: tuple[int, int], padding: Padding, pipeline: Pipeline) -> TilePlan:
        """The plan for an image of `size` (H, W), which lacks `padding` to one that the network takes."""
        top, bottom, left, right = padding
        rule = pipeline.tile, pipeline.overlap, pipeline.stride_multiple, pipeline.stride_remainder
        height, width = size[0] + top + bottom, size[1] + left + right
        return cls(size, padding, pipeline.margin, Axis.plan(height, *rule), Axis.plan(width, *rule))

    def parts(self, image: ImageParts, first: int = 0) -> Iterator[tuple[Tile, NDArray[Any]]]:
        """All tiles from the row of tiles `first` on with their stored values, margin included; read ahead."""
        return read_ahead(lambda tile: self._read(image, tile), tiles(self.down, self.across, first))

    def tiles_done(self, rows: int) -> int:
        """Rows of tiles that are done where so many rows of the image are finished."""
        finished = [min(bound - self.padding[0], self.size[0]) for bound in self.down.bounds[1:]]
        return sum(bound <= rows for bound in finished) if rows else 0

    def in_image(self, block: Block) -> Block:
        """A block of all tiles together as a block of the image, without what is padding."""
        top, _, left, _ = self.padding
        (rows, inner_rows), (columns, inner_columns) = (
            _inside(part, before, length)
            for part, before, length in zip((block.rows, block.columns), (top, left), self.size, strict=True)
        )
        return Block(rows, columns, block.scores[:, inner_rows, inner_columns])

    def _read(self, image: ImageParts, tile: Tile) -> NDArray[Any]:
        top, _, left, _ = self.padding
        rows, columns = (
            slice(part.start - before - self.margin, part.stop - before + self.margin)
            for part, before in ((tile.rows, top), (tile.columns, left))
        )
        return take_mirrored(image, rows, columns)


def _inside(part: slice, before: int, length: int) -> tuple[slice, slice]:
    """Of a part of a padded side, whose image begins at `before`: its pixels of the image, and where in it they are."""
    start = max(part.start - before, 0)
    stop = max(min(part.stop - before, length), start)
    return slice(start, stop), slice(start + before - part.start, stop + before - part.start)
