"""Split files that lie beside the data: `split.csv`, or `train.txt`, `val.txt` and `test.txt`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.findings import Finding
from segkit.data.image_io import IMAGE_SUFFIXES
from segkit.data.rules import finding
from segkit.data.split import PARTS, read_split_file
from segkit.structures import Record


@dataclass(frozen=True)
class Assigned:
    """Records with the splits a file beside them gives, and what to say about it."""

    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def apply_split_files(root: Path, records: Sequence[Record], listed_ids: Sequence[str] = ()) -> Assigned:
    """Fill the splits from the files beside the data; without any, records keep the split their folder names.

    Args:
        root: the folder of the data set.
        records: the usable records.
        listed_ids: ids of further images that a split file may name.

    Raises:
        UsageError: `split.csv` is no table of `id,split`.
    """
    table = root / "split.csv"
    if table.is_file():
        return _apply(table.name, read_split_file(table), records, listed_ids)
    if any(record.split for record in records):
        return Assigned(tuple(records))
    parts = {_without_suffix(line): part for part in PARTS for line in _lines(root / f"{part}.txt")}
    known = {*(record.id for record in records), *listed_ids}
    # Lists of other things, such as pairs of paths, are no split.
    return (
        _apply("train.txt, val.txt, test.txt", parts, records, listed_ids)
        if parts and parts.keys() <= known
        else Assigned(tuple(records))
    )


def _apply(source: str, parts: dict[str, str], records: Sequence[Record], listed_ids: Sequence[str]) -> Assigned:
    parts = {_without_suffix(id_): part for id_, part in parts.items()}
    unknown = tuple(sorted(parts.keys() - {record.id for record in records} - set(listed_ids)))
    findings: tuple[Finding, ...] = ()
    if unknown:
        message = f"{source} names ids that no image has ({len(unknown)}): ids are image names without suffix"
        findings = (finding("unknown-split-id", message, unknown),)
    changed = sum(record.split is not None and record.split != parts.get(record.id) for record in records)
    note = f"splits from {source}" + (f", which overrides the folders for {changed} images" if changed else "")
    return Assigned(tuple(replace(record, split=parts.get(record.id)) for record in records), (note,), findings)


def _lines(path: Path) -> list[str]:
    return (
        [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if path.is_file()
        else []
    )


def _without_suffix(id_: str) -> str:
    suffix = Path(id_).suffix
    return id_.removesuffix(suffix) if suffix.lower() in IMAGE_SUFFIXES else id_
