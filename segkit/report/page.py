"""What the page says: the run's files turned into headings, tables and figures, ready for the template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from segkit.report.data_summary import data_summary
from segkit.report.figures import curve
from segkit.report.head import SPOKEN, head_section
from segkit.report.run_files import RunFiles

_CURVES = {"train_loss": "Training loss", "score": "Validation score", "learning_rate": "Learning rate"}


def page(run: RunFiles) -> dict[str, Any]:
    """All that the template shows; a section without its files is empty and left out."""
    heads = [head_section(head) for head in run.heads]
    return {
        "name": run.folder.resolve().name,
        "subtitle": _subtitle(run),
        "heads": heads,
        "validated": None if run.scores else _best_validation(run.log),
        "curves": _curves(run.log),
        "data": data_summary(run),
        "environment": [(key, value) for key, value in flatten(run.environment) if key != "command"],
        "command": run.environment.get("command"),
        "config": list(flatten(run.config)),
        "rules": list(dict.fromkeys(rule for head in heads for rule in head["rules"])),
    }


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted name, value as text) in their order; what is not set is left out."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        elif isinstance(value, str):
            yield name, value
        elif value is not None:
            yield name, json.dumps(value, ensure_ascii=False)


def _subtitle(run: RunFiles) -> str:
    model, task = run.config.get("model") or {}, run.scores.get("task") or run.config.get("task")
    network = " on ".join(str(part) for part in (model.get("decoder"), model.get("backbone")) if part)
    heads = run.config.get("heads") or [task]
    spoken = ", ".join(SPOKEN[head] for head in heads if head in SPOKEN)
    return " · ".join(part for part in (spoken, network, run.config.get("path")) if part)


def _best_validation(log: list[dict[str, str]]) -> dict[str, Any] | None:
    """What stands in the place of an evaluation's score."""
    validated = [float(row["score"]) for row in log if row.get("score")]
    return {"metric": "best validation score", "value": max(validated), "interval": None} if validated else None


def _curves(log: list[dict[str, str]]) -> list[dict[str, str]]:
    curves = []
    for column, title in _CURVES.items():
        x_name = "epoch" if len({row.get("epoch") for row in log}) > 1 else "step"
        points = [(float(row[x_name]), float(row[column])) for row in log if row.get(column) and row.get(x_name)]
        if points:
            curves.append({"title": title, "svg": curve(points, x_name, best=column == "score")})
    return curves
