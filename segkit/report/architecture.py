"""The architecture of a network as a picture: map size and channels, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from segkit.errors import UsageError
from segkit.models.complexity import Complexity, Layer
from segkit.ops.files import write_atomically
from segkit.report.drawing import INK, STYLE, picture_bytes

SUFFIXES = (".svg", ".png")

_COLORS = {"convolution": "#0b7285", "pool": "#e8590c", "upsampling": "#5f3dc4", "concatenation": "#adb5bd"}
_UPSAMPLING = ("transpose", "upsampl", "unpool", "pixelshuffle", "pixel shuffle", "interpolation", "nails")
_STYLE = STYLE | {
    "font.size": 9,
    "axes.spines.left": False,
    "axes.grid.axis": "y",
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.major.size": 0,
}


def write_architecture(complexity: Complexity, title: str, path: str | Path) -> None:
    """Write the picture of a network.

    Raises:
        UsageError: the name ends in neither `.svg` nor `.png`, or no layer has a map.
        OutputError: the file cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} is no name of a picture; use {' or '.join(SUFFIXES)}")
    write_atomically(path, architecture_picture(complexity, title, suffix))


def architecture_picture(complexity: Complexity, title: str, suffix: str) -> bytes:
    """Draw every convolution, pool, upsampling and concatenation as a bar: side of its map above, channels below.

    Equal networks give equal bytes. Raises `UsageError` where no layer has a map.
    """
    shown = [(layer, kind) for layer in complexity.layers if (kind := _kind(layer)) is not None]
    if not shown:
        raise UsageError(f"{title} has no layer with a map to draw")
    with mpl.rc_context(_STYLE):
        return picture_bytes(_draw(complexity, title, shown), suffix)


def _kind(layer: Layer) -> str | None:
    if len(layer.output) != 3:
        return None
    if any(word in layer.kind.lower() for word in _UPSAMPLING):
        return "upsampling"
    if layer.kernel:
        return "convolution" if layer.multiply_adds else "pool"
    return "concatenation" if layer.kind == "concatenate" else None


def _draw(complexity: Complexity, title: str, shown: Sequence[tuple[Layer, str]]) -> Figure:
    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    positions = range(len(shown))
    colors = [_COLORS[kind] for _, kind in shown]
    width = 0.82 if len(shown) < 80 else 1.0
    for axes, values, label in (
        (above, [max(layer.output[1:]) for layer, _ in shown], "side of the map"),
        (below, [layer.output[0] for layer, _ in shown], "channels"),
    ):
        axes.bar(positions, values, width, color=colors, linewidth=0)
        axes.set_yscale("log", base=2)
        axes.set_ylabel(label)
        exponents = range(max(min(values).bit_length() - 2, 0), max(values).bit_length() + 1)
        axes.set_ylim(2 ** exponents[0] if min(values) > 1 else 0.75, 1.25 * max(values))
        axes.yaxis.set_major_locator(FixedLocator([2**e for e in exponents[:: 1 + len(exponents) // 6]]))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(ScalarFormatter())
    above.set_xlim(-0.6, len(shown) - 0.4)
    below.set_xticks([])
    below.set_xlabel("layers in the order of computation")
    height, across = complexity.size
    giga, mega = complexity.multiply_adds / 1e9, complexity.parameters / 1e6
    above.set_title(
        f"{title}, {height} x {across}, {mega:.3g} M parameters, {giga:.3g} G multiply-adds", loc="left", fontsize=10
    )
    kinds = [kind for kind in _COLORS if any(kind == of_layer for _, of_layer in shown)]
    handles = [Patch(color=_COLORS[kind], label=kind) for kind in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(kinds), frameon=False)
    return figure
