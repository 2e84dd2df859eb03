"""The memory that predicting a large image takes, by a formula; docs/prediction.md explains it. No torch."""

from __future__ import annotations

import os

import numpy as np

from segkit.data.image_io import MASK_TILE
from segkit.errors import SegkitError
from segkit.inference.image_parts import LARGE, OpenImage
from segkit.inference.predictor import Predictor
from segkit.pipeline import STATISTICS_BLOCK

ALLOCATOR = 2**26
"""Bytes that the C library may keep of what was freed."""

FLOAT = 4
"""Bytes of a number that is computed with."""

STORED = 4
"""Copies of a tile as stored: the one worked on, the one read ahead, and what becomes of it while it is read."""

PREPARED = 3
"""Copies of a tile as float32: in the stated range, normalized, and on the way there."""

GROWING = 40
"""Bytes per pixel while objects grow from the maps of insides and borders."""


def expected_bytes(predictor: Predictor, image: OpenImage) -> int:
    """Bytes at most that `write_large_mask` takes, besides those of the program and of its network on one tile."""
    plan = predictor.tile_plan(image.size)
    classes, id_bytes = predictor.classes.num_classes, np.dtype(predictor.classes.id_dtype).itemsize
    pixels = plan.down.length * plan.across.length
    seen = plan.down.length + 2 * plan.margin, plan.across.length + 2 * plan.margin
    band = max(stop - start for start, stop in zip(plan.down.bounds, plan.down.bounds[1:], strict=False))
    strip = FLOAT * classes * plan.down.most_kept * plan.across.bounds[-1]
    rows = id_bytes * (band + 2 * MASK_TILE) * image.size[1]
    reading = image.held_bytes(*seen) + STORED * image.pixel_bytes * seen[0] * seen[1]
    preparing = PREPARED * FLOAT * predictor.pipeline.channels * seen[0] * seen[1]
    deciding = (FLOAT * (classes * predictor.maps_at_once + 3) + id_bytes) * pixels
    statistics = (image.pixel_bytes + 3 * 8) * STATISTICS_BLOCK if predictor.pipeline.normalization == "zscore" else 0
    return strip + rows + reading + max(preparing + deciding, statistics) + ALLOCATOR


def require_room(
    predictor: Predictor, image: OpenImage, overlay: bool, probabilities: bool, uncertainty: bool = False
) -> None:
    """Raise `SegkitError` where what is asked for of a large image is not written part by part and cannot be.

    Objects grow over the whole image at once, so they need an image that fits the machine's memory.
    """
    height, width = image.size
    asked = {"--overlay": overlay, "--probabilities": probabilities, "--uncertainty": uncertainty}
    option = next((option for option, wanted in asked.items() if wanted), None)
    if option is not None:
        raise SegkitError(
            f"{width:,} x {height:,} pixels are more than the {LARGE:,} of which '{option}' is written; leave it out, "
            "or cut the image into parts"
        )
    if "instances" in predictor.heads:
        maps = predictor.heads["instances"].num_classes + 1
        pixel_bytes = image.pixel_bytes + FLOAT * maps + GROWING
        there = _machine_bytes()
        if there is not None and height * width * pixel_bytes > there:
            raise SegkitError(
                f"objects of {width:,} x {height:,} pixels are grown over the whole image at once, which takes about "
                f"{height * width * pixel_bytes / 2**30:.0f} GiB, and this machine has {there / 2**30:.0f}; cut the "
                f"image into parts of at most {there // pixel_bytes:,} pixels, or find boxes ('--task detect'), which "
                "are joined over tiles at any size"
            )


def _machine_bytes() -> int | None:
    """The machine's memory, None where it cannot be told."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
