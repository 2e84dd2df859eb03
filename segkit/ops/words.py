"""Small matters of language in what people read."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """`"1 image"`, `"2 images"`: a number with its noun, whose plural ends in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
