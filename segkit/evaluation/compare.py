"""Two evaluations of the same images: by how much one is better, and whether that could be chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import UsageError
from segkit.evaluation.boundary import LOWER_IS_BETTER, MEASURES
from segkit.evaluation.estimates import number
from segkit.evaluation.image_tables import ImageTable, read_tables
from segkit.evaluation.result import IMAGE_SCORE
from segkit.metrics import MINIMUM_UNITS, Interval, bootstrap_interval, sign_flip_p
from segkit.ops.words import counted
from segkit.structures import TaskName

_SCORES = ("dice", *MEASURES, "ap50", "f1", "missed", "invented", "count_error", "correct", "probability_of_class")
_LOWER = (*LOWER_IS_BETTER, "missed", "invented", "count_error")
_REFERENCE = ("unit", "pixels", "class", "objects")
"""Columns that say something of the image and its reference, not of a prediction."""


@dataclass(frozen=True)
class Difference:
    """One metric of two runs over the same units, each unit the mean of those of its images that count in both.

    Attributes:
        metric: column of `per_image.csv`.
        lower_is_better: as of distances.
        a: mean over the units, NaN where none counts.
        b: the same of the second run.
        difference: b - a.
        interval: 95 % by bootstrap over the units; None below ten.
        p: of a two-sided sign-flip permutation test; None without units.
        units: number of units that count.
        only_a: images that count in the first run alone, a structure the second missed for example; in no mean.
        only_b: images that count in the second run alone.
        of_units: difference of each unit where there are too few for an interval.
    """

    metric: str
    lower_is_better: bool
    a: float
    b: float
    difference: float
    interval: Interval | None
    p: float | None
    units: int
    only_a: int
    only_b: int
    of_units: Mapping[str, float] | None

    def to_json(self) -> dict[str, Any]:
        """Plain values, null for what is not known."""
        return {
            **vars(self),
            "a": number(self.a),
            "b": number(self.b),
            "difference": number(self.difference),
            "interval": None if self.interval is None else list(self.interval),
        }


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same images.

    Attributes:
        run_a: the first run, as it was named.
        run_b: the second.
        task: what they were scored to.
        images: number of images, the same in both.
        unit: `"image"`, or `"group"` where images belong to groups.
        units: number of units, the same in both.
        differences: one per metric that both have.
        only_in_one: metrics that one of them lacks.
        ranked: of objects the average precision in both, with its name and intervals: all images are ranked together,
            so none has a value of its own to be paired.
        thresholds: of boxes the score from which they are counted in both.
        further: of networks of several heads the comparisons of those that both have beside the main one.
        heads_in_one: heads that one of them lacks.
    """

    run_a: str
    run_b: str
    task: TaskName
    images: int
    unit: str
    units: int
    differences: tuple[Difference, ...]
    only_in_one: tuple[str, ...] = ()
    ranked: tuple[str, Mapping[str, Any], Mapping[str, Any]] | None = None
    thresholds: tuple[float, float] | None = None
    further: tuple[Comparison, ...] = ()
    heads_in_one: tuple[TaskName, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **vars(self),
            "differences": [found.to_json() for found in self.differences],
            "further": [found.to_json() for found in self.further],
        }

    def describe(self) -> list[str]:
        """Tables for people, one per head."""
        lines = [
            f"A {self.run_a}",
            f"B {self.run_b}",
            "mean over units; B - A with its 95 % interval and the p of a two-sided sign-flip permutation test",
        ]
        for found in (self, *self.further):
            lines += found._table(f"to {found.task}: " if self.further else "")
        if self.heads_in_one:
            lines.append(f"heads of one of them alone, so not compared: {', '.join(self.heads_in_one)}")
        return lines

    def _table(self, said_before: str) -> list[str]:
        of_groups = f" in {counted(self.units, 'group')}" if self.unit == "group" else ""
        title = (
            f"{said_before}the same {counted(self.images, 'image')}{of_groups}; {counted(self.units, 'unit')} shared, "
            f"the unit is the {self.unit}"
        )
        header = ("metric", "A", "B", "B - A", "interval", "p", "units")
        cells = [header, *(_cells(found) for found in self.differences)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rows = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
        return [title, *rows, *self._notes()]

    def _notes(self) -> list[str]:
        notes = []
        if any(found.lower_is_better for found in self.differences):
            notes.append("(-) lower is better")
        first = self.differences[0]
        if first.of_units is not None:
            listed = ", ".join(f"{unit} {value:+.3f}" for unit, value in first.of_units.items())
            notes.append(f"too few units for an interval; {first.metric} of each, B - A: {listed}")
        for found in self.differences:
            if found.only_a or found.only_b:
                notes.append(
                    f"{found.metric}: {counted(found.only_a, 'image')} counted in A alone and {found.only_b} in B "
                    "alone, in neither mean"
                )
        if self.thresholds is not None:
            a, b = self.thresholds
            notes.append(f"boxes count from a score of {a:g} on in A, {b:g} in B")
        if self.ranked is not None:
            name, of_a, of_b = self.ranked
            notes.append(
                f"{name}, of the objects of all images ranked together, so without p: A {_said(of_a)}, B {_said(of_b)}"
            )
        if self.only_in_one:
            notes.append(f"in one of them alone, so not compared: {', '.join(self.only_in_one)}")
        return notes


def compare(run_a: str | Path, run_b: str | Path) -> Comparison:
    """Compare two runs image by image, of several heads each that both have.

    Args:
        run_a: run folder, or the folder of an evaluation.
        run_b: another one, scored on the same images.

    Raises:
        UsageError: a folder without evaluation, other tasks, images or references, or evaluations that measured
            differently.
    """
    heads_a, heads_b = read_tables(run_a), read_tables(run_b)
    shared = [task for task in heads_a if task in heads_b]
    if not shared:
        raise UsageError(
            f"{run_a} was scored to {' and '.join(heads_a)}, {run_b} to {' and '.join(heads_b)}: no score in common; "
            "compare two models of one task"
        )
    main, *further = (_compare(heads_a[task], heads_b[task]) for task in shared)
    lacking = [task for task in (*heads_a, *heads_b) if task not in shared]
    return replace(main, further=tuple(further), heads_in_one=tuple(lacking))


def _compare(a: ImageTable, b: ImageTable) -> Comparison:
    """The comparison of one head."""
    _refuse_other_images(a, b)
    shared = [column for column in a.columns if column in b.columns and _is_score(column)]
    shared.sort(key=lambda column: column != IMAGE_SCORE[a.task])
    only = [column for column in dict.fromkeys((*a.columns, *b.columns)) if _is_score(column) and column not in shared]
    units = {image: row["unit"] for image, row in a.rows.items()}
    return Comparison(
        run_a=a.name,
        run_b=b.name,
        task=a.task,
        images=len(units),
        unit="image" if all(unit == image for image, unit in units.items()) else "group",
        units=len(set(units.values())),
        differences=tuple(_difference(column, a, b, units) for column in shared),
        only_in_one=tuple(only),
        ranked=_ranked(a, b),
        thresholds=_thresholds(a, b),
    )


def _ranked(a: ImageTable, b: ImageTable) -> tuple[str, Mapping[str, Any], Mapping[str, Any]] | None:
    """The name of the average precision, and what it is in both; None where one has none."""
    kinds: Mapping[TaskName, tuple[str, str]] = {"detect": ("dataset", "AP"), "instances": ("coco", "COCO's AP")}
    if a.task not in kinds:
        return None
    level, name = kinds[a.task]
    in_a, in_b = ((table.scores.get(level) or {}).get("ap") for table in (a, b))
    return (name, in_a, in_b) if in_a and in_b else None


def _thresholds(a: ImageTable, b: ImageTable) -> tuple[float, float] | None:
    found = a.scores.get("threshold"), b.scores.get("threshold")
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _is_score(column: str) -> bool:
    return column.split(" ", 1)[0] in _SCORES


def _refuse_other_images(a: ImageTable, b: ImageTable) -> None:
    """Raise `UsageError` unless both scored the same images, against the same references, in the same way."""
    both = a.rows.keys() & b.rows.keys()
    if len(both) < len(a.rows) or len(both) < len(b.rows):
        units = len({a.rows[image]["unit"] for image in both} & {b.rows[image]["unit"] for image in both})
        raise UsageError(
            f"{a.name} and {b.name} were scored on different images: {counted(units, 'unit')} with "
            f"{counted(len(both), 'image')} shared, {len(a.rows) - len(both)} only in the first, "
            f"{len(b.rows) - len(both)} only in the second; evaluate both on the same with segkit evaluate MODEL DATA "
            "-o FOLDER, and compare these folders"
        )
    for image, row in a.rows.items():
        for column in _REFERENCE:
            if row.get(column) != b.rows[image].get(column):
                raise UsageError(
                    f"{image} is not the same in both: its {column} is {row.get(column)} in {a.name} and "
                    f"{b.rows[image].get(column)} in {b.name}; evaluate both on the same data with the same options"
                )
    for name, option in (("unit", "images"), ("tolerance", "--tolerance")):
        if a.boundary and b.boundary and a.boundary.get(name) != b.boundary.get(name):
            raise UsageError(
                f"outlines were measured differently: {name} {a.boundary.get(name)} in {a.name}, "
                f"{b.boundary.get(name)} in {b.name}; evaluate both with the same {option}"
            )


def _difference(column: str, a: ImageTable, b: ImageTable, unit_of: Mapping[str, str]) -> Difference:
    values_a, values_b = a.values(column), b.values(column)
    pairs: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for image, value in values_a.items():
        if image in values_b:
            pairs[unit_of[image]].append((value, values_b[image]))
    means = np.array([np.mean(of_unit, axis=0) for of_unit in pairs.values()]).reshape(-1, 2)
    differences = means[:, 1] - means[:, 0]
    with_ones = np.stack([differences, np.ones_like(differences)], axis=1)
    mean_a, mean_b = means.mean(axis=0) if len(means) else (np.nan, np.nan)
    few = len(means) < MINIMUM_UNITS
    return Difference(
        metric=column,
        lower_is_better=column.split(" ", 1)[0] in _LOWER,
        a=float(mean_a),
        b=float(mean_b),
        difference=float(mean_b - mean_a),
        interval=bootstrap_interval(with_ones, lambda sums: sums[..., 0] / sums[..., 1]),
        p=sign_flip_p(differences) if len(means) else None,
        units=len(means),
        only_a=len(values_a.keys() - values_b.keys()),
        only_b=len(values_b.keys() - values_a.keys()),
        of_units=dict(zip(pairs, map(float, differences), strict=True)) if few else None,
    )


def _said(estimate: Mapping[str, Any]) -> str:
    """A score with its interval, as `Estimate.to_json` has it."""
    if estimate["value"] is None:
        return "not counted"
    interval = estimate["interval"]
    return f"{estimate['value']:.3f}" + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _cells(found: Difference) -> tuple[str, ...]:
    name = f"{found.metric} (-)" if found.lower_is_better else found.metric
    if found.p is None:
        return (name, "not counted", "", "", "", "", "0")
    interval = "" if found.interval is None else f"[{found.interval.low:+.3f}, {found.interval.high:+.3f}]"
    p = f"{found.p:.4f}" if found.p >= 0.0001 else "< 0.0001"
    return (name, f"{found.a:.3f}", f"{found.b:.3f}", f"{found.difference:+.3f}", interval, p, str(found.units))
