"""What the pictures drawn with Matplotlib have in common: colours, style, and how they become bytes."""

from __future__ import annotations

import io

from matplotlib.figure import Figure

INK, SOFT, LINE = "#24292f", "#656d76", "#d8dee4"

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "segkit",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
"""For `matplotlib.rc_context`."""


def picture_bytes(figure: Figure, suffix: str) -> bytes:
    """A figure as the content of a `.png` or `.svg` file; equal figures give equal bytes."""
    content = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if suffix == ".svg" else {}
    figure.savefig(content, format=suffix[1:], dpi=160, metadata=metadata, facecolor="white")
    return content.getvalue()
