"""From one layout of data sets to another: what is read is written, and what the target cannot hold is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.findings import Finding
from segkit.data.formats._writing import WRITERS
from segkit.data.opening import OpenDataset, describe_finding
from segkit.errors import DataError, OutputError, UsageError
from segkit.ops.files import make_folder
from segkit.ops.words import counted
from segkit.structures import Progress, Record

ABOUT_TRAINING = frozenset(
    {
        "channels-differ",
        "class-without-training-pixels",
        "duplicate-across-splits",
        "empty-part",
        "group-across-splits",
        "one-class-only",
        "too-few-images",
    }
)
"""Codes of errors that stand in the way of training, not of another layout."""


@dataclass(frozen=True)
class Conversion:
    """A data set that was written anew.

    Attributes:
        source: what was read, with the parts that were written.
        out: the folder that was written.
        layout: its layout.
        losses: one sentence for everything that the layout cannot hold.
    """

    source: OpenDataset
    out: Path
    layout: str
    losses: tuple[str, ...]


def convert_dataset(dataset: OpenDataset, out: str | Path, layout: str, progress: Progress | None = None) -> Conversion:
    """Write a data set in another layout.

    Parts are written where the data or the options state them; those that would be cut by content are not.

    Args:
        dataset: the opened data set.
        out: a folder that does not exist or is empty; it appears when everything is written.
        layout: a name of `WRITERS`.
        progress: told the number of images written and their total.

    Raises:
        UsageError: an unknown layout, one that holds targets of other tasks, or a folder that is not empty.
        DataError: the data has errors, or no image that the layout can hold.
        OutputError: the folder cannot be written.
    """
    write = WRITERS.get(layout)
    out = Path(out)
    refuse_other_content(out)
    errors = [found for found in dataset.errors if found.code not in ABOUT_TRAINING]
    if errors:
        raise DataError("\n  ".join((_refusal(dataset, errors), *map(describe_finding, errors))))
    stated = replace(dataset, records=_with_stated_parts(dataset))
    with new_folder(out) as folder:
        losses = write(stated, folder, progress)
    return Conversion(stated, out, layout, losses)


def refuse_other_content(out: Path) -> None:
    """Raise `UsageError` where a folder to write to is a file or not empty."""
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file; name a new folder")
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; name a new folder")


def _refusal(dataset: OpenDataset, errors: list[Finding]) -> str:
    return f"{dataset.root} has {counted(len(errors), 'error')}; correct them, or go on without with --allow CODE:"


def _with_stated_parts(dataset: OpenDataset) -> tuple[Record, ...]:
    if dataset.config.split is not None:
        return dataset.records
    stated = {record.id: record.split for record in dataset.listing.records}
    return tuple(replace(record, split=stated[record.id]) for record in dataset.records)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name at the end, and is taken away where something goes wrong.

    Raises `OutputError` when it cannot be made or renamed. What goes wrong inside passes unchanged: only the one who
    reads and writes there can tell a damaged source from a full disk.
    """
    make_folder(out.absolute().parent)
    temporary = out.absolute().with_name(f".{out.absolute().name}.{os.getpid()}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield make_folder(temporary)
        _rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _rename(folder: Path, out: Path) -> None:
    try:
        if out.is_dir():
            out.rmdir()  # it was empty; some systems rename onto no folder
        folder.rename(out)
    except OSError as error:
        raise OutputError(f"cannot write {out}: {error.strerror or error}; name another place") from None
