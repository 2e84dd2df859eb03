"""The chain of pages in a TIFF file: whether it is whole, and, faster than by opening it, whether it is one page."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_DESCRIPTION = 270
_MOST_TAGS = 4096
_STACK_WORDS = (b"images=", b"<OME", b"truncated")
"""What stands in the description of files whose one page stands for many: ImageJ's, OME's and tifffile's."""


MAX_PAGES = 1_000_000
"""More pages than any stack has: a chain that goes on so long runs in a circle."""


def has_one_page(path: Path) -> bool:
    """Whether the file's first page is all there is; False where that is not sure."""
    with path.open("rb") as stream:
        chain = _Chain.open(stream)
        page = None if chain is None else chain.read(chain.first)
        if page is None or page.following:
            return False
        return not any(word in page.description(stream) for word in _STACK_WORDS)


def is_whole_chain(path: Path) -> bool:
    """Whether every page leads to another one in the file and the last one to none; a file that was cut does not."""
    with path.open("rb") as stream:
        chain = _Chain.open(stream)
        offset = chain.first if chain else 0
        for _ in range(MAX_PAGES):
            page = None if chain is None else chain.read(offset)
            if page is None:
                return False
            if not page.following:
                return True
            offset = page.following
        return False


@dataclass(frozen=True)
class _Page:
    """One entry of the chain: its tags as they lie in the file, how they are coded, and where the next page lies."""

    tags: bytes
    tag: struct.Struct
    following: int

    def description(self, stream: BinaryIO) -> bytes:
        """The start of the page's description, where it is longer than a few letters."""
        for code, _, length, value in self.tag.iter_unpack(self.tags):
            if code == _DESCRIPTION and length > 8:
                stream.seek(value)
                return stream.read(min(length, 4096))
        return b""


@dataclass(frozen=True)
class _Chain:
    """How the pages of a file are found (TIFF 6.0, section 2; BigTIFF has wider numbers)."""

    stream: BinaryIO
    first: int
    count: struct.Struct
    tag: struct.Struct
    offset: struct.Struct

    @classmethod
    def open(cls, stream: BinaryIO) -> _Chain | None:
        """Read the head of a file; None where it is none of TIFF."""
        head = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 16:
            return None
        is_big = struct.unpack(f"{order}H", head[2:4])[0] == 43
        wide = "Q" if is_big else "I"
        offset = struct.Struct(order + wide)
        (first,) = offset.unpack_from(head, 8 if is_big else 4)
        return cls(
            stream,
            first,
            struct.Struct(order + ("Q" if is_big else "H")),
            struct.Struct(f"{order}HH{wide}{wide}"),
            offset,
        )

    def read(self, place: int) -> _Page | None:
        """The page at this place, None where there is none."""
        self.stream.seek(place)
        counted = self.stream.read(self.count.size)
        if len(counted) < self.count.size:
            return None
        (count,) = self.count.unpack(counted)
        if not 0 < count <= _MOST_TAGS:
            return None
        tags = self.stream.read(count * self.tag.size)
        following = self.stream.read(self.offset.size)
        return _Page(tags, self.tag, *self.offset.unpack(following)) if len(following) == self.offset.size else None
