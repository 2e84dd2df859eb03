"""A batch that does not fit into the device's memory is answered with one that does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segkit.errors import SegkitError
from segkit.training import TrainingConfig
from tests.training.tiny import run, tiny_loader, tiny_net


class Hungry(nn.Module):
    """A network for which a device holds so many images at once."""

    def __init__(self, holds: int) -> None:
        super().__init__()
        self.net = tiny_net()
        self._holds = holds

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if len(images) > self._holds:
            raise torch.OutOfMemoryError
        return dict(self.net(images))


@pytest.mark.parametrize(("holds", "named"), [(15, 8), (4, 4), (3, 2), (1, 1)])
def test_the_batch_that_fits_is_found_by_trying(tmp_path: Path, holds: int, named: int) -> None:
    config = TrainingConfig(epochs=1, batch_size=16, workers=0)
    message = (
        rf"a batch of 16 images of 16x16 exceeds the memory of cpu; a batch of {named} fits: use '--batch-size {named}'"
    )
    with pytest.raises(SegkitError, match=message):
        run(tmp_path, config, Hungry(holds))


def test_no_batch_fits(tmp_path: Path) -> None:
    config = TrainingConfig(epochs=1, batch_size=4, workers=0)
    with pytest.raises(SegkitError, match="nor does a single one fit; use a crop of 8x8 or a smaller network"):
        run(tmp_path, config, Hungry(0), tiny_loader(4))
