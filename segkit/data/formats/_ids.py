"""Ids of records, unique in the whole data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from segkit.structures import Record


def unique_ids(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Records with unique ids, and what to say about it: where splits repeat names, every id starts with its split."""
    if len({record.id for record in records}) == len(records):
        return list(records), []
    named = [replace(record, id=f"{record.split}/{record.id}") for record in records]
    return named, ["image names repeat across splits, so every id starts with its split"]
