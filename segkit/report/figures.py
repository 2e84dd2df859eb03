"""Figures of the report as inline SVG that takes its colours from the page, in light and in dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

# Matplotlib knows no CSS variables: it draws in these colours, which occur nowhere else and are exchanged afterwards.
_INK, _GRID, _ACCENT = "#010203", "#010204", "#010205"
_VARIABLES = {_INK: "var(--soft)", _GRID: "var(--line)", _ACCENT: "var(--accent)"}

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "segkit",
    "font.size": 10,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _GRID,
    "xtick.labelcolor": _INK,
    "ytick.color": _GRID,
    "ytick.labelcolor": _INK,
    "ytick.major.size": 0,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}
_SIZE = (4.6, 2.7)
_SMALL_SIZE = (3.4, 2.5)
"""Of figures of which three stand beside one another."""


def curve(points: Sequence[tuple[float, float]], x_label: str, best: bool = False) -> str:
    """A line through (x, y) points; `best` marks the highest one with its value."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(x_label)
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, color=_ACCENT, marker="o" if len(points) < 3 else None, markersize=4)
        axes.margins(x=0.02, y=0.12)
        if best:
            x, y = max(points, key=lambda point: point[1])
            axes.plot([x], [y], "o", color=_ACCENT, markersize=6)
            side = "right" if x > (min(xs) + max(xs)) / 2 else "left"
            axes.annotate(f"{y:.3f}", (x, y), (0, 8), textcoords="offset points", color=_INK, ha=side, weight="bold")
        return _svg(figure)


def histogram(values: Sequence[float], x_label: str) -> str:
    """How many values between 0 and 1 fall into each of twenty bins."""
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(x_label)
        axes.hist(values, bins=20, range=(0, 1), color=_ACCENT, rwidth=0.88)
        axes.set_xlim(0, 1)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylabel("images")
        return _svg(figure)


def precision_recall(values: Mapping[str, Any], threshold: str) -> str:
    """Precision over recall as far as it is reached, and a dot for what is shown, with the score from which that is.

    Args:
        values: `recall`, `precision`, `score` and `shown` as an evaluation's `curves` have them.
        threshold: written beside the dot.
    """
    reached = sum(score is not None for score in values["score"])
    with mpl.rc_context(_STYLE | {"axes.grid.axis": "both"}):
        figure, axes = _axes("recall", _SMALL_SIZE)
        recall, precision = values["recall"][:reached], values["precision"][:reached]
        axes.fill_between(recall, precision, color=_ACCENT, alpha=0.14, linewidth=0)
        axes.plot(recall, precision, color=_ACCENT)
        shown = values["shown"]
        if shown is not None and shown["precision"] is not None:
            place = shown["recall"], shown["precision"]
            axes.plot(*[[value] for value in place], "o", color=_ACCENT, markersize=6, clip_on=False)
            side = "right" if place[0] > 0.2 else "left"
            axes.annotate(threshold, place, (0, -15), textcoords="offset points", color=_INK, ha=side, weight="bold")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("precision")
        return _svg(figure)


def size_histogram(values: Sequence[float], x_label: str, counted: str) -> str:
    """How many values above 0 fall into each of 24 bins that are equally wide on a logarithmic axis."""
    low, high = min(values), max(values)
    edges = np.geomspace(low, high, 25) if high > 1.2 * low else np.array([low / 1.3, high * 1.3])
    with mpl.rc_context(_STYLE):
        figure, axes = _axes(x_label)
        axes.hist(values, bins=edges, color=_ACCENT, rwidth=0.9)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylabel(counted)
        return _svg(figure)


def _axes(x_label: str, size: tuple[float, float] = _SIZE) -> tuple[Any, Any]:
    figure = Figure(figsize=size, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    axes.set_xlabel(x_label)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=x_label in {"epoch", "step"}))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def _svg(figure: Any) -> str:
    """The `<svg>` element alone, as wide as its place on the page."""
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    svg = content.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<svg .*?(viewBox="[^"]*").*?>', r'<svg role="img" \1>', svg, count=1, flags=re.DOTALL)
    # Its style element would reach the whole page, its group ids would occur once per figure, its fonts are not ours.
    for unwanted in (r"<style.*?</style>", r"<metadata>.*?</metadata>", r'(?<=<g) id="[^"]*"', r"font-family: [^;]*; "):
        svg = re.sub(unwanted, "", svg, flags=re.DOTALL)
    for color, variable in _VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg.strip()
