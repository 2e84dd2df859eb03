"""Cut a data set into folds for cross-validation: every image validates once, in all the other folds it trains.

Folds are cut as parts are: by content, groups staying whole, each fold with its share of every class or of the values
of a column. The data set's own test part, or that of a split file, stays out of all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segkit.data.opening import OpenDataset
from segkit.data.stratify import stratify
from segkit.errors import UsageError
from segkit.ops.words import counted


@dataclass(frozen=True)
class Folds:
    """The parts of each fold.

    Attributes:
        parts: per fold the ids of `train`, `val` and `test`, as `--split FILE.json` reads them back.
        origin: how they were cut, said aloud.
    """

    parts: tuple[Mapping[str, list[str]], ...]
    origin: str


def cut_folds(dataset: OpenDataset, count: int) -> Folds:
    """Cut everything but the data's own test part into `count` folds.

    Raises:
        UsageError: shares were asked for, there are fewer units than folds, or `--stratify` names no column.
    """
    config = dataset.config
    if config.split is not None and not isinstance(config.split, Path):
        given = "/".join(f"{100 * share:g}" for share in config.split)
        raise UsageError(
            f"--split {given} and --folds {count} both cut the data; give one of them, or the test images in a file: "
            "--split FILE"
        )
    named = _named_parts(dataset)
    test = {id_ for id_, part in named.items() if part == "test"}
    cut = [record for record in dataset.records if not named or (record.split and record.id not in test)]
    strata = dataset.strata()
    units: defaultdict[str, list[frozenset[int]]] = defaultdict(list)
    for record in cut:
        units[record.unit].append(strata[record.id])
    if len(units) < count:
        allowed = f"give at most {len(units)}" if len(units) > 1 else "there is nothing to cut"
        raise UsageError(f"--folds {count}: there are {counted(len(units), dataset.unit)} to cut; {allowed}")
    fold_of = stratify(units, {str(fold): 1 / count for fold in range(count)}, config.seed)
    parts = tuple(
        {
            "train": [record.id for record in cut if fold_of[record.unit] != str(fold)],
            "val": [record.id for record in cut if fold_of[record.unit] == str(fold)],
            "test": [record.id for record in dataset.records if record.id in test],  # the usable ones
        }
        for fold in range(count)
    )
    return Folds(parts, _origin(dataset, parts))


def _named_parts(dataset: OpenDataset) -> dict[str, str]:
    """Id to part as a split file or the data set itself says; not what opening cut off for want of it."""
    by_file = isinstance(dataset.config.split, Path)
    listed = dataset.records if by_file else dataset.listing.records
    return {record.id: record.split for record in listed if record.split is not None}


def _origin(dataset: OpenDataset, parts: tuple[Mapping[str, list[str]], ...]) -> str:
    sizes = "/".join(str(len(fold["val"])) for fold in parts)
    grouped = ", groups whole" if dataset.unit == "group" else ""
    balanced = f", stratified by {dataset.config.stratify}" if dataset.config.stratify else ""
    kept = (
        f"; {counted(len(parts[0]['test']), 'image')} of the data's own test part kept out" if parts[0]["test"] else ""
    )
    return f"{len(parts)} folds of {sizes} images, cut by content (seed {dataset.config.seed}{grouped}{balanced}){kept}"
