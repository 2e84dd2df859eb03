"""A small data set on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.structures import Record
from tests.evaluation.known import Ids

WriteRecords = Callable[..., list[Record]]


@pytest.fixture
def write_records(tmp_path: Path) -> WriteRecords:
    """Write one image and mask per array of ids; `groups` and `labels` go into the records."""

    def write(masks: Sequence[Ids], groups: Sequence[str] = (), labels: Sequence[str] = ()) -> list[Record]:
        records = []
        for number, mask in enumerate(masks):
            image = np.full(mask.shape, 90, np.uint8) + mask
            image[0, 0] = number
            paths = tmp_path / f"image{number:02d}.png", tmp_path / f"mask{number:02d}.png"
            Image.fromarray(image).save(paths[0])
            Image.fromarray(mask).save(paths[1])
            group, label = (groups[number] if groups else None), (labels[number] if labels else None)
            records.append(Record(f"set/{number:02d}", paths[0], None if labels else paths[1], label, group))
        return records

    return write
