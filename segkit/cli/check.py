"""`segkit check`: every problem of a data set in one report, before anything is trained."""

from __future__ import annotations

import json
from typing import Any

import typer

from segkit.cli import options
from segkit.errors import NOT_COMPLETED

SHOWN_FILES = 5


def check(
    data: options.Data,
    as_json: options.Json = False,
    format_name: options.Format = None,
    classes: options.Classes = None,
    value_map: options.ValueMap = None,
    ignore: options.Ignore = None,
    background: options.Background = None,
    channels: options.Channels = None,
    allow: options.Allow = None,
    split: options.Split = None,
    group_by: options.GroupBy = None,
) -> None:
    """Name every problem of DATA with its files; exit code 1 when training would refuse it."""
    from segkit.data.config import DataConfig
    from segkit.data.opening import open_dataset
    from segkit.experiment.console import Teller

    settings = options.data_settings(
        format_name, classes, value_map, ignore, background, channels, allow, split, group_by
    )
    with Teller(quiet=as_json).progress("reading") as advance:
        dataset = open_dataset(data, DataConfig.parse(settings, source="options"), progress=advance)
    if as_json:
        typer.echo(json.dumps(_document(dataset), indent=1))
    else:
        _print(dataset)
    if any(finding.severity == "error" for finding in dataset.findings):
        raise typer.Exit(NOT_COMPLETED)


def _document(dataset: Any) -> dict[str, Any]:
    return {
        "data": str(dataset.root),
        "read_as": dataset.listing.layout,
        "images": {part: len(dataset.split(part)) for part in ("train", "val", "test")},
        "classes": list(dataset.classes.names) if dataset.classes else [],
        "findings": [
            {"code": f.code, "severity": f.severity.value, "message": f.message, "files": list(f.files)}
            for f in dataset.findings
        ],
    }


def _print(dataset: Any) -> None:
    for line in dataset.describe():
        typer.echo(line)
    for finding in dataset.findings:
        typer.secho(
            f"\n{finding.severity.value}: {finding.message} [{finding.code}]", fg=_COLORS[finding.severity.value]
        )
        for file in finding.files[:SHOWN_FILES]:
            typer.echo(f"    {file}")
        if len(finding.files) > SHOWN_FILES:
            typer.echo(f"    … and {len(finding.files) - SHOWN_FILES} more; --json lists all")
    errors = sum(finding.severity == "error" for finding in dataset.findings)
    warnings = sum(finding.severity == "warning" for finding in dataset.findings)
    verdict = "training would refuse this data set" if errors else f"ready: segkit train {dataset.root}"
    typer.echo(f"\n{errors} errors, {warnings} warnings; {verdict}")


_COLORS = {"error": "red", "warning": "yellow", "note": "blue"}
