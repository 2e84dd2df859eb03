"""The mask of an image of any size, in memory that its height has no part in. No torch.

Rows of tiles are predicted one after the other, and what each of them finishes goes to the disk (`MaskPart`). At the
end it becomes a compressed TIFF. Interrupted at any moment, the same call goes on from the last finished row of tiles
and gives the same bytes: tiles that share pixels with the rows to come are predicted again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit._version import __version__
from segkit.data.image_io import MASK_TILE, write_tiled_mask
from segkit.data.readers._base import file_on_disk
from segkit.errors import OutputError
from segkit.inference.image_parts import OpenImage
from segkit.inference.large_memory import expected_bytes
from segkit.inference.mask_part import MaskPart
from segkit.inference.predictor import Predictor
from segkit.ops.files import make_folder

Advance = Callable[[float], None]
"""Called with the share of the image that is done, by its area."""

Tell = Callable[[str], None]
"""Called with a line for a person."""


def write_large_mask(
    predictor: Predictor, image: OpenImage, files: Sequence[Path], mask: Path, advance: Advance, tell: Tell
) -> NDArray[np.int64]:
    """Predict the mask of an image and write it as TIFF; returns the number of pixels of each id from 0 on.

    Args:
        predictor: of one head, which segments.
        image: what is predicted.
        files: that hold it.
        mask: the file to write.
        advance: hears of what is done.
        tell: is told beforehand of the tiles, the memory, and what an interrupted call has left.

    Raises:
        OutputError: the disk is full, for example. What is finished stays beside the mask's place, for the next call.
    """
    height, width = image.size
    make_folder(mask.parent)
    part = MaskPart(mask, width, predictor.classes.id_dtype, _identity(predictor, image, files))
    rows = part.take_up()
    tell(_plan(predictor, image, files[0], rows / height))
    advance(rows / height)
    _predict_rows(predictor, image, part, rows, advance)
    return _finish(part, (height, width), predictor)


def _predict_rows(predictor: Predictor, image: OpenImage, part: MaskPart, rows: int, advance: Advance) -> None:
    """Predict and keep what follows the first `rows` of the mask."""
    height, width = image.size
    band: NDArray[Any] = np.empty((0, width), predictor.classes.id_dtype)
    plan = predictor.tile_plan((height, width))
    for block in predictor.mask_blocks(image.values, plan.tiles_done(rows)):
        if not block.columns.start:
            band = np.empty((block.rows.stop - block.rows.start, width), band.dtype)
        band[:, block.columns] = block.ids
        advance((block.rows.start + len(band) * block.columns.stop / width) / height)
        if block.columns.stop == width and len(band):
            part.write(block.rows.start, band)


def _finish(part: MaskPart, size: tuple[int, int], predictor: Predictor) -> NDArray[np.int64]:
    """Make the mask of its rows, count its ids, and remove the rows."""
    classes = predictor.classes
    counts: NDArray[np.int64] = np.zeros(max(classes.ids) + 1, np.int64)

    def bands() -> Iterator[NDArray[Any]]:
        for band in part.bands(MASK_TILE):
            counts[:] += np.bincount(band.ravel(), minlength=len(counts))
            yield band

    try:
        write_tiled_mask(part.mask, part.path.with_suffix(".tmp"), bands(), size, classes)
    except OutputError as error:
        raise OutputError(f"{error}; the same command again goes on from {part.path}") from None
    part.remove()
    return counts


def _identity(predictor: Predictor, image: OpenImage, files: Sequence[Path]) -> str:
    """What is the same where the same mask would be predicted: the image's files, the rules, and what the network says.

    A network has no name that changes with its weights, its engine and its arithmetic, so it is known by its answer.
    """
    stats = [(file, file_on_disk(file).stat()) for file in files]
    stated = {
        "segkit": __version__,
        "files": [[str(file.absolute()), stat.st_size, stat.st_mtime_ns] for file, stat in stats],
        "pipeline": predictor.pipeline.model_dump(mode="json"),
        "classes": predictor.classes.to_dict(),
        "network": hashlib.sha256(predictor.answer_to_corner(image.values).tobytes()).hexdigest(),
    }
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _plan(predictor: Predictor, image: OpenImage, file: Path, done: float) -> str:
    height, width = image.size
    plan = predictor.tile_plan((height, width))
    said = (
        f"{file}: {width:,} x {height:,} pixels in {len(plan.down.starts) * len(plan.across.starts):,} tiles of "
        f"{plan.across.length} x {plan.down.length}, at most {expected_bytes(predictor, image) / 2**20:,.0f} MiB of "
        "memory besides the program and its network"
    )
    return f"{said}; going on after the {done:.0%} that are done" if done else said
