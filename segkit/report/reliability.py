"""A picture of how far probabilities can be believed, before and after a temperature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from segkit.errors import UsageError
from segkit.metrics.calibration import BINS, Reliability
from segkit.ops.files import make_folder, write_atomically
from segkit.report.drawing import INK, SOFT, STYLE, picture_bytes

_RIGHT, _GAP = "#0b7285", "#e8590c"


def refuse_other_suffix(path: str | Path) -> None:
    """Raise `UsageError` where a path is no name of a picture."""
    if Path(path).suffix not in (".png", ".svg"):
        raise UsageError(f"-o {path}: the name ends in none of .png, .svg, and it is for a picture")


def write_reliability(path: str | Path, found: Mapping[str, tuple[Reliability, Reliability]]) -> None:
    """Draw the reliability diagrams (Guo et al. 2017, figure 1) of every head before and after; `.png` or `.svg`.

    Raises:
        UsageError: the path is no name of a picture.
        OutputError: it cannot be written.
    """
    refuse_other_suffix(path)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, 3.4 * len(found)), layout="constrained")
        panels = figure.subplots(len(found), 2, sharex=True, sharey=True, squeeze=False)
        for row, (head, pair) in zip(panels, found.items(), strict=True):
            for axes, when, one in zip(row, ("before", "after"), pair, strict=True):
                _draw(axes, one, f"{head}, {when}: ECE {one.error:.4f}")
    make_folder(Path(path).parent)
    write_atomically(path, picture_bytes(figure, Path(path).suffix))


def _draw(axes: Any, one: Reliability, title: str) -> None:
    """Bars of how many are right, and from there to what the probabilities promise."""
    middles = (np.arange(BINS) + 0.5) / BINS
    axes.bar(middles, one.accuracies, 0.9 / BINS, color=_RIGHT, label="right")
    gaps = one.confidences - one.accuracies
    axes.bar(middles, gaps, 0.9 / BINS, one.accuracies, color=_GAP, alpha=0.35, label="gap to the probability")
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the class decided on", ylabel="share that is right")
    axes.set_title(title, color=INK, fontsize=10)
    axes.legend(loc="upper left", frameon=False, fontsize=8)
