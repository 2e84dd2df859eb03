"""Theoretical receptive fields: which pixels the units of a map see, along one axis of an endless image.

The image is taken as endless because padding would otherwise make the field of a unit depend on the image's size. Up to
here this is the recurrence of Araujo et al. 2019, "Computing receptive fields of convolutional neural networks",
section 2. Behind an upsampling the units of a map differ: with a factor of 2 every other unit sees more. Their pattern
repeats, so one period of it is kept, and the fields of decoders are exact too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

Span = tuple[int, int]
"""The first and the last pixel a unit sees."""


@dataclass(frozen=True)
class Axis:
    """What the units of a map see along one axis.

    Attributes:
        spans: what the first units see, one period; None for a unit that sees nothing (a zero between nails).
        advance: pixels from one period to the next.
    """

    spans: tuple[Span | None, ...] = ((0, 0),)
    advance: int = 1

    @property
    def jump(self) -> Fraction:
        """Pixels from one unit to the next."""
        return Fraction(self.advance, len(self.spans))

    @property
    def field(self) -> int:
        """Pixels the unit sees that sees most."""
        return max(last - first + 1 for first, last in self._seen())

    @property
    def centre(self) -> float:
        """Position of the middle of what the first unit sees; the centre of the first pixel is 0."""
        first, last = self._seen()[0]
        return (first + last) / 2

    def slide(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Axis:
        """Behind a convolution or a pool."""
        period = len(self.spans) // gcd(len(self.spans), stride)
        reach = dilation * (kernel - 1) + 1
        starts = (unit * stride - padding for unit in range(period))
        taps = (range(start, start + reach, dilation) for start in starts)
        return Axis(self._merged(taps), self.advance * period * stride // len(self.spans))

    def transpose(self, kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> Axis:
        """Behind a transposed convolution."""
        positions = ([unit + padding - dilation * tap for tap in range(kernel)] for unit in self._grown(stride))
        taps = ([position // stride for position in unit if position % stride == 0] for unit in positions)
        return Axis(self._merged(taps), self.advance)

    def repeat(self, factor: int) -> Axis:
        """Behind nearest neighbours, max unpooling or a pixel shuffle."""
        return Axis(self._merged([unit // factor] for unit in self._grown(factor)), self.advance)

    def interpolate(self, factor: int) -> Axis:
        """Behind linear interpolation between the centres of the units."""
        # A unit's centre lies at (unit + 1/2) / factor - 1/2, here in steps of 1 / (2 factor).
        places = (divmod(2 * unit + 1 - factor, 2 * factor) for unit in self._grown(factor))
        taps = ([below, below + 1] if beyond else [below] for below, beyond in places)
        return Axis(self._merged(taps), self.advance)

    def join(self, other: Axis) -> Axis | None:
        """Both together, for sums and concatenations; None where their jumps differ, so that nothing can be said."""
        if self.jump != other.jump:
            return None
        units = range(lcm(len(self.spans), len(other.spans)))
        spans = tuple(_union((self.span(unit), other.span(unit))) for unit in units)
        return Axis(spans, int(self.jump * len(units)))

    def _grown(self, factor: int) -> range:
        return range(len(self.spans) * factor)

    def span(self, unit: int) -> Span | None:
        """What a unit sees; None where that is nothing."""
        periods, place = divmod(unit, len(self.spans))
        span = self.spans[place]
        return span and (span[0] + periods * self.advance, span[1] + periods * self.advance)

    def _merged(self, taps: Iterable[Sequence[int]]) -> tuple[Span | None, ...]:
        return tuple(_union(map(self.span, units)) for units in taps)

    def _seen(self) -> list[Span]:
        return [span for span in self.spans if span] or [(0, 0)]


def _union(spans: Iterable[Span | None]) -> Span | None:
    seen = [span for span in spans if span]
    return (min(first for first, _ in seen), max(last for _, last in seen)) if seen else None


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of a map see.

    Attributes:
        axes: along the height and along the width; None where that is all there is to say.
        is_whole: whether every unit sees the whole image, as behind global pooling and attention.
    """

    axes: tuple[Axis, Axis] | None = (Axis(), Axis())
    is_whole: bool = False

    def along(self, change: Callable[[Axis, int], Axis]) -> ReceptiveField:
        """The field behind a layer that changes the axes 0 (height) and 1 (width)."""
        if self.axes is None:
            return self
        height, width = self.axes
        return ReceptiveField((change(height, 0), change(width, 1)))

    def join(self, other: ReceptiveField) -> ReceptiveField:
        """Both together."""
        if self.is_whole or other.is_whole:
            return WHOLE_IMAGE
        if self.axes is None or other.axes is None:
            return UNKNOWN
        height, width = (mine.join(theirs) for mine, theirs in zip(self.axes, other.axes, strict=True))
        return ReceptiveField((height, width)) if height and width else UNKNOWN


WHOLE_IMAGE = ReceptiveField(None, is_whole=True)
UNKNOWN = ReceptiveField(None)
