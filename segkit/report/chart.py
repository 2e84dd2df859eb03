"""Accuracy against cost: published top-1 scores over multiply-adds, bubbles as large as the parameters are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi, sqrt
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from segkit.errors import UsageError
from segkit.explanation.describe import describe
from segkit.models.published import PublishedScore, published_scores
from segkit.ops.files import write_atomically
from segkit.report.drawing import LINE, SOFT, STYLE, picture_bytes
from segkit.report.write import template
from segkit.structures import Progress

SUFFIXES = (".png", ".svg", ".html")

_COLORS = {
    "alexnet": "#c2255c",
    "vgg": "#e8590c",
    "googlenet": "#5f3dc4",
    "inception": "#5f3dc4",
    "resnet": "#0b7285",
    "densenet": "#2b8a3e",
}
_OTHER_COLOR = "#868e96"
_AREA_PER_MILLION = 7.0
_LABEL_SIZE = 7.5


@dataclass(frozen=True)
class Point:
    """One bubble: the published score, and what `describe` computes."""

    score: PublishedScore
    multiply_adds: int
    parameters: int

    @property
    def giga(self) -> float:
        """Multiply-adds in thousand millions."""
        return self.multiply_adds / 1e9

    @property
    def color(self) -> str:
        """One per family of segkit's own, and one for all others."""
        own = (color for prefix, color in _COLORS.items() if self.score.backbone.startswith(prefix))
        return next(own, _OTHER_COLOR)


def chart_points(progress: Progress | None = None) -> list[Point]:
    """Every published score with the network's multiply-adds and parameters, those that only training runs left out."""
    scores = published_scores()
    points = []
    for number, score in enumerate(scores, start=1):
        complexity = describe(score.backbone, size=score.size).complexity
        points.append(Point(score, complexity.multiply_adds, complexity.parameters - complexity.not_run))
        if progress is not None:
            progress(number, len(scores))
    return points


def write_chart(path: str | Path, progress: Progress | None = None) -> None:
    """Write the chart as a picture, or as a page with the numbers and their sources.

    Raises:
        UsageError: the name ends in none of `.png`, `.svg` and `.html`.
        OutputError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--chart {path}: the name ends in none of {', '.join(SUFFIXES)}; give it one of them")
    points = chart_points(progress)
    if suffix == ".png":
        write_atomically(path, _draw(points, ".png"))
        return
    picture = _draw(points, ".svg")
    if suffix == ".html":
        svg = picture.decode()
        ranked = sorted(points, key=lambda point: -point.score.top1)
        picture = template("chart.html.jinja").render(svg=svg[svg.index("<svg") :], points=ranked).encode()
    write_atomically(path, picture)


def _draw(points: Sequence[Point], suffix: str) -> bytes:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 5.6), layout="constrained")
        axes = figure.add_subplot()
        # Large bubbles first, so that none hides another.
        for point in sorted(points, key=lambda point: -point.parameters):
            area = _AREA_PER_MILLION * point.parameters / 1e6
            axes.scatter(point.giga, point.score.top1, area, color=point.color, alpha=0.45, linewidth=0.8)
        axes.set_xscale("log")
        ticks = [0.3, 0.5, 1, 2, 4, 8, 16]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlim(0.25, 36)
        axes.set_ylim(54, 82)
        axes.set_xlabel("multiply-adds of one image, 10⁹ (logarithmic)")
        axes.set_ylabel("top-1 on ImageNet, %, as published")
        for million in (10, 50, 100):
            axes.scatter([], [], _AREA_PER_MILLION * million, color=SOFT, alpha=0.45, label=f"{million} M")
        axes.legend(title="parameters", loc="lower right", labelspacing=1.6, borderpad=1.1, frameon=False)
        figure.draw_without_rendering()
        _label(axes, points)
        return picture_bytes(figure, suffix)


def _label(axes: Any, points: Sequence[Point]) -> None:
    """Names beside their bubbles, each at the first place where it covers no other name."""
    to_points = 72 / axes.figure.dpi
    centres = {point: axes.transData.transform((point.giga, point.score.top1)) * to_points for point in points}
    taken = [(x - 3, y - 3, x + 3, y + 3) for x, y in centres.values()]
    for point in sorted(points, key=lambda point: point.giga):
        x, y = centres[point]
        radius = sqrt(_AREA_PER_MILLION * point.parameters / 1e6 / pi)
        width, height = 0.56 * _LABEL_SIZE * len(point.score.backbone), 1.25 * _LABEL_SIZE
        places = [(dx, dy) for dy in (0, 9, -9, 18, -18, 27, -27, 36, -36) for dx in (radius + 2, -radius - 2 - width)]
        boxes = [(x + dx, y + dy - height / 2, x + dx + width, y + dy + height / 2) for dx, dy in places]
        chosen = next((i for i, box in enumerate(boxes) if not any(_overlap(box, other) for other in taken)), 0)
        taken.append(boxes[chosen])
        offset = places[chosen]
        arrow = {"arrowstyle": "-", "color": LINE, "linewidth": 0.6} if offset[1] else None
        axes.annotate(
            point.score.backbone,
            (point.giga, point.score.top1),
            offset,
            textcoords="offset points",
            va="center",
            fontsize=_LABEL_SIZE,
            arrowprops=arrow,
        )


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
