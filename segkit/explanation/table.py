"""A description as cells and sentences, for the terminal and the documentation."""

from __future__ import annotations

from segkit.explanation.describe import Description
from segkit.models.complexity import Layer

COLUMNS = (
    "layer",
    "kind",
    "output",
    "K",
    "S",
    "P",
    "parameters",
    "connections",
    "multiply-adds",
    "field",
    "jump",
    "centre",
    "memory",
)
"""K, S, P: kernel, stride and padding; field, jump and centre in pixels of the image."""


def layer_cells(layer: Layer) -> tuple[str, ...]:
    """The cells of one layer, in the order of `COLUMNS`."""
    return (
        layer.name or "(network)",
        layer.kind,
        " x ".join(map(str, layer.output)),
        _pair(layer.kernel),
        _pair(layer.stride),
        _pair(layer.padding),
        count(layer.parameters),
        count(layer.connections),
        short_count(layer.multiply_adds),
        "image" if layer.sees_whole_image else _pair(layer.field) if layer.field else "?",
        _pair(layer.jump),
        _pair(layer.centre, separator=","),
        short_bytes(layer.memory),
    )


def summary(described: Description) -> list[str]:
    """The sums, and what stands in the columns."""
    complexity = described.complexity
    height, width = complexity.size
    lines = [
        f"{described.name}, {described.config.in_channels} x {height} x {width}: "
        f"{count(complexity.parameters)} parameters, {short_count(complexity.multiply_adds)} multiply-adds, "
        f"{count(complexity.connections)} connections, {short_bytes(complexity.memory)} of outputs (float32)"
    ]
    if described.pipeline is not None:
        lines += described.pipeline.describe()
    if complexity.not_run:
        lines.append(f"{count(complexity.not_run)} of the parameters belong to layers that prediction does not run")
    if any(layer.field is None and not layer.sees_whole_image for layer in complexity.layers):
        lines.append("field ?: the maps that meet here have different steps, so that their fields cannot be joined")
    lines += [
        f"effective receptive field of {field.name} ({field.channels} channels, stride {field.stride}): "
        f"{field.size:.0f} pixels"
        for field in described.effective
    ]
    if described.effective:
        lines.append("effective: square root of the pixels whose gradient is above 4.55 % of the largest (Luo 2016)")
    return lines


def count(number: int) -> str:
    """A whole number with its thousands apart; nothing for none."""
    return f"{number:,}" if number else ""


def short_count(number: int) -> str:
    """A number in thousands (K), millions (M) or thousand millions (G), of four digits; nothing for none."""
    for unit, name in ((10**9, " G"), (10**6, " M"), (10**3, " K")):
        if number >= unit:
            return f"{number / unit:.4g}{name}"
    return str(number) if number else ""


def short_bytes(number: int) -> str:
    """Bytes in KiB or MiB; nothing for none."""
    if number >= 2**20:
        return f"{number / 2**20:.1f} MiB"
    return f"{number / 2**10:.1f} KiB" if number else ""


def _pair(values: tuple[float, float] | None, separator: str = "x") -> str:
    if values is None:
        return ""
    height, width = values
    return f"{height:g}" if height == width else f"{height:g}{separator}{width:g}"
