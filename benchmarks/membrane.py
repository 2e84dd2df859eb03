"""Membranes in electron microscopy (ISBI 2012): Dice on slices 24 to 29 after some minutes on slices 0 to 19.

Slices 20 to 23 choose the checkpoint. `python -m benchmarks.membrane --minutes 6 --seeds 3`
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks._side_by_side import arguments, compare
from segkit.metrics import RegionScores

MEMBRANE, INTERIOR = 0, 1
SETTINGS = {
    "classes": ("membrane", "interior"),
    "background": INTERIOR,
    "split": Path(__file__).with_name("isbi2012_em_split.csv"),
}


def membrane_dice(confusion: NDArray[np.int64]) -> float:
    return float(RegionScores.from_confusion(confusion).dice[MEMBRANE])


if __name__ == "__main__":
    options = arguments(__doc__, minutes=6, seeds=3)
    compare("isbi2012_em", options, SETTINGS, membrane_dice, "membrane Dice on 6 slices", vertical_flips=True)
