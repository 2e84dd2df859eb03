"""Opening a data set before the eyes of whoever waits for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from segkit.data.config import DataConfig
from segkit.data.opening import OpenDataset, describe_finding, open_dataset
from segkit.experiment.console import Teller
from segkit.structures import ClassMap, TaskName


def open_aloud(
    path: str | Path,
    config: DataConfig,
    teller: Teller,
    classes: Mapping[TaskName, ClassMap] | None = None,
    task: TaskName | None = None,
    heads: Collection[TaskName] = (),
) -> OpenDataset:
    """Open a data set and say how it was read, and every finding that is no error, allowed errors among them.

    Errors stand in the data set still; `require_usable` raises for them.

    Args:
        path: folder or table.
        config: everything its files do not say, or say differently.
        teller: whom to tell.
        classes: the classes of a model that is to be evaluated, by head.
        task: which targets to read where the data has several.
        heads: several tasks in its place.

    Raises:
        UsageError: as `open_dataset`.
    """
    with teller.progress("reading") as advance:
        dataset = open_dataset(path, config, progress=advance, classes=classes, task=task, heads=heads)
    teller.tell(*dataset.describe())
    teller.tell(*(describe_finding(found) for found in dataset.findings if found not in dataset.errors))
    return dataset
