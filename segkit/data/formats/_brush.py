"""Label Studio's brush strokes: the bit stream of @thi.ng/rle-pack (https://github.com/thi-ng/umbrella, rle-pack).

Most significant bit first: 32 bits, the number of words; 5 bits, the size of a word less 1; four times 4 bits, the
sizes of a chunk's length less 1. Then chunks: 1 bit, whether one word is repeated; 2 bits, which of the four sizes the
length has; the length less 1; then the word that is repeated, or as many words as the length says. The words are the
red, green, blue and opacity of the pixels, row by row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segkit.data.formats._shapes import require_drawable
from segkit.errors import DataError

_CHANNELS = 4


def decode_brush(packed: bytes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels (H, W) that a brush touched: those that are not quite transparent.

    Raises:
        DataError: the stream is cut short, or of another size than the image.
    """
    require_drawable(size)
    stream = _Bits(packed)
    count, word = stream.number(32), stream.number(5) + 1
    lengths = [stream.number(4) + 1 for _ in range(4)]
    if count != size[0] * size[1] * _CHANNELS:
        pixels = f"{count / _CHANNELS:,.0f} pixels"
        raise DataError(f"the pixels of a brush are {pixels}, and the image has {size[1]} x {size[0]}")
    touched = np.zeros(size[0] * size[1], np.bool_)
    start = 0
    while start < count:
        is_repeated = stream.number(1)
        end = start + stream.number(lengths[stream.number(2)]) + 1
        if end > count:
            raise DataError("the pixels of a brush are damaged: a run reaches beyond the image")
        # Of the words from `start` to `end` those of opacity are every fourth.
        opacity = slice(start // _CHANNELS, end // _CHANNELS)
        if is_repeated:
            touched[opacity] = stream.number(word) != 0
        else:
            touched[opacity] = stream.words(end - start, word)[(_CHANNELS - 1 - start) % _CHANNELS :: _CHANNELS]
        start = end
    return touched.reshape(size)


class _Bits:
    """A stream of bits, read from front to back."""

    def __init__(self, packed: bytes) -> None:
        self._packed = packed
        self._position = 0

    def number(self, bits: int) -> int:
        """The next `bits` as a number."""
        first, end = self._advance(bits)
        window = int.from_bytes(self._packed[first // 8 : -(-end // 8)], "big")
        return window >> (-end % 8) & ((1 << bits) - 1)

    def words(self, count: int, bits: int) -> NDArray[np.bool_]:
        """Which of the next `count` words of `bits` are not 0."""
        first, end = self._advance(count * bits)
        window = np.frombuffer(self._packed[first // 8 : -(-end // 8)], np.uint8)
        unpacked = np.unpackbits(window)[first % 8 : first % 8 + count * bits]
        return np.asarray(unpacked.reshape(count, bits).any(axis=1))

    def _advance(self, bits: int) -> tuple[int, int]:
        first, self._position = self._position, self._position + bits
        if self._position > 8 * len(self._packed):
            raise DataError("the pixels of a brush are cut short; export them again")
        return first, self._position
