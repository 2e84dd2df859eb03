"""Small images with masks, from which the formats write their examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.ops.files import make_folder, write_atomically

SIZE = 32
"""Height and width of an example's images."""


def scenes(count: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Images (H, W), 8-bit gray, and the number of the object at each pixel (H, W): a bright one, 1, and a dark one, 2.

    No two images are equal.
    """
    rows, columns = np.mgrid[:SIZE, :SIZE]
    for index in range(count):
        rng = np.random.default_rng(index)
        numbers = np.zeros((SIZE, SIZE), np.uint8)
        numbers[4 + index : 12 + index, 4:14] = 1
        numbers[(rows - 22) ** 2 + (columns - 22 + index) ** 2 < 36] = 2
        noise = rng.integers(-12, 13, numbers.shape)
        yield (np.array([128, 220, 30])[numbers] + noise).astype(np.uint8), numbers


def write_json(path: Path, content: Any) -> None:
    """Write JSON as people can read it, into a folder that is made where it is not there."""
    make_folder(path.parent)
    write_atomically(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
