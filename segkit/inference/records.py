"""What the tables of a prediction say of one image or volume, and the tables of many. No torch."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segkit.inference.jobs import Job, Row
from segkit.inference.large import Advance, Tell
from segkit.inference.object_table import ObjectTable
from segkit.inference.output_folder import ERRORS, write_errors, write_table
from segkit.inference.predictor import Predictor
from segkit.inference.review import REVIEW, Review
from segkit.inference.shards import ALL, Shard
from segkit.structures import ClassMap, TaskName

SUMMARY = "summary.csv"
COLUMNS = ("image", "class")
"""That the summary begins with."""

TABLES: Mapping[TaskName, str] = {"instances": "objects", "detect": "boxes"}
"""Heads that find objects, and the names of their tables and COCO files."""


@dataclass(frozen=True)
class Record:
    """What the tables say of one image or volume.

    Attributes:
        rows: of the summary.
        objects: by head, what `ObjectTable.plain` gives of the image.
        review: rows of the review, where asked for.
    """

    rows: Sequence[Row]
    objects: Mapping[TaskName, Mapping[str, Any]]
    review: Sequence[Row]

    def plain(self) -> dict[str, Any]:
        """As values of JSON."""
        return {"rows": _with_images(self.rows, str), "objects": self.objects, "review": _with_images(self.review, str)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Record:
        """From what `plain` gave."""
        return cls(_with_images(plain["rows"], Path), plain["objects"], _with_images(plain["review"], Path))


def _with_images(rows: Sequence[Row], kind: type[Path] | type[str]) -> list[Row]:
    return [{**row, "image": kind(row["image"])} for row in rows]


def predict_record(job: Job, predictor: Predictor, advance: Advance, tell: Tell) -> Record:
    """Predict one image or volume and write its results; raises and takes what `Job.run` does."""
    tables, review, begin = object_tables(predictor.heads, ALL), Review(), time.perf_counter()
    if job.review is not None:
        job = replace(job, review=review)
    rows = job.run(predictor, tables, advance, tell)
    seconds = f"{time.perf_counter() - begin:.3f}"
    objects = {task: table.plain() for task, table in tables.items()}
    return Record([{**row, "seconds": seconds} for row in rows], objects, review.rows)


def object_tables(heads: Mapping[TaskName, ClassMap], shard: Shard) -> dict[TaskName, ObjectTable]:
    """An empty table for each head that finds objects."""
    return {task: ObjectTable(shard.file(name), heads[task]) for task, name in TABLES.items() if task in heads}


def write_tables(
    out: Path,
    heads: Mapping[TaskName, ClassMap],
    records: Sequence[Record],
    errors: Mapping[Path, str],
    uncertainty: bool,
    shard: Shard,
) -> None:
    """Write the summary, the errors where there are any, the tables of objects and the review; raises `OutputError`."""
    write_table(out / shard.file(SUMMARY), COLUMNS, [row for record in records for row in record.rows])
    write_errors(out, errors, shard.file(ERRORS))
    for task, table in object_tables(heads, shard).items():
        for record in records:
            table.take(record.objects[task])
        table.write_table(out)
        table.write_coco(out)
    if uncertainty:
        review = Review()
        review.rows += [row for record in records for row in record.review]
        review.write(out / shard.file(REVIEW))
