"""A look at the head of a TIFF file: whether it can hold more than one page, ten times faster than opening it."""

from __future__ import annotations

import struct
from pathlib import Path

_DESCRIPTION = 270
_STACK_WORDS = (b"images=", b"<OME", b"truncated")
"""What stands in the description of files whose one page stands for many: ImageJ's, OME's and tifffile's."""


def has_one_page(path: Path) -> bool:
    """Whether the file's first page is all there is; False where that is not sure."""
    with path.open("rb") as stream:
        head = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return False
        is_big = struct.unpack(f"{order}H", head[2:4])[0] == 43
        (first,) = struct.unpack(f"{order}{'Q' if is_big else 'I'}", head[8:16] if is_big else head[4:8])
        count_format, entry_length, offset_format = ("Q", 20, "Q") if is_big else ("H", 12, "I")
        stream.seek(first)
        count_length = struct.calcsize(count_format)
        counted = stream.read(count_length)
        if len(counted) < count_length:
            return False
        (count,) = struct.unpack(f"{order}{count_format}", counted)
        if count > 4096:  # no page has so many tags: the file is damaged
            return False
        entries = stream.read(count * entry_length)
        last = stream.read(struct.calcsize(offset_format))
        if any(last) or len(last) < struct.calcsize(offset_format):
            return False
        for start in range(0, len(entries) - entry_length + 1, entry_length):
            code, _, length, value = struct.unpack_from(f"{order}HH{offset_format}{offset_format}", entries, start)
            if code == _DESCRIPTION and length > struct.calcsize(offset_format):
                stream.seek(value)
                description = stream.read(min(length, 4096))
                return not any(word in description for word in _STACK_WORDS)
        return True
