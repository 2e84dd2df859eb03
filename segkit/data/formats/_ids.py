"""Ids of records, unique in the whole data set, and the files that leave an id in doubt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from segkit.data.findings import Finding, shown
from segkit.data.rules import finding
from segkit.structures import Record


def unique_ids(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """Records with unique ids, and what to say about it: where splits repeat names, every id starts with its split."""
    if len({record.id for record in records}) == len(records):
        return list(records), []
    named = [replace(record, id=f"{record.split}/{record.id}") for record in records]
    return named, ["image names repeat across splits, so every id starts with its split"]


def duplicate_ids(repeated: Iterable[Path], records: Sequence[Record], root: Path) -> list[Finding]:
    """The finding about files that differ by the suffix alone and the records they belong to, or none."""
    files = set(repeated)
    if not files:
        return []
    message = f"files that differ by the suffix alone ({len(files)}): keep one of each"
    concerned = [record.id for record in records if not files.isdisjoint((record.image, *record.mask_files))]
    return [finding("duplicate-id", message, sorted(shown(file, root) for file in files), concerned)]
