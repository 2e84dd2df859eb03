"""`segkit check`: every problem of a data set in one report, before anything is trained."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segkit.cli import options
from segkit.errors import NOT_COMPLETED, OutputError, UsageError
from segkit.ops.words import counted

if TYPE_CHECKING:
    from segkit.data.opening import OpenDataset

COLORS = {"error": "red", "warning": "yellow", "note": "blue"}


def check(
    context: typer.Context,
    data: options.Data,
    task: options.Task = None,
    heads: options.Heads = None,
    as_json: options.Json = False,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with pictures of what was found and of what a network will see.")
    ] = None,
    format_name: options.Format = None,
    classes: options.Classes = None,
    value_map: options.ValueMap = None,
    ignore: options.Ignore = None,
    background: options.Background = None,
    channels: options.Channels = None,
    axis: options.Axis = None,
    allow: options.Allow = None,
    split: options.Split = None,
    group_by: options.GroupBy = None,
    stratify: options.Stratify = None,
) -> None:
    """Name every problem of DATA with its files; exit code 1 when training would refuse it."""
    from segkit.data.config import DataConfig
    from segkit.data.description import describe_data
    from segkit.data.object_sizes import measure_objects
    from segkit.data.opening import open_dataset
    from segkit.experiment.console import Teller
    from segkit.experiment.flags import flags_of

    given = options.data_settings(
        format_name=format_name,
        classes=classes,
        value_map=value_map,
        ignore=ignore,
        background=background,
        channels=channels,
        axis=axis,
        allow=allow,
        split=split,
        group_by=group_by,
        stratify=stratify,
    )
    _refuse_no_page(report)
    config = DataConfig.parse(given, "options", flags_of(given))
    with Teller(quiet=as_json).progress("reading") as advance:
        dataset = open_dataset(data, config, progress=advance, task=task, heads=options.parse_heads(heads) or ())
    objects = measure_objects(dataset)
    described = describe_data(dataset, objects)
    stored = _stored(dataset, described)
    if as_json:
        typer.echo(json.dumps(_document(dataset, described, stored), indent=1))
    else:
        _print(dataset, described, stored, options.typed(context, besides={"as_json", "report"}))
    if report is not None:
        from segkit.experiment.check_report import write_check_report

        write_check_report(dataset, described, objects, report)
        typer.echo(f"report: {report}", err=as_json)
    if dataset.errors:
        raise typer.Exit(NOT_COMPLETED)


def _refuse_no_page(report: Path | None) -> None:
    """Raise `UsageError` before the data is read where the page could not be written after it."""
    if report is None:
        return
    if report.suffix.lower() not in {".html", ".htm"}:
        raise UsageError(f"--report {report}: the page is HTML; give a name that ends in .html")
    if not report.parent.is_dir():
        raise UsageError(f"--report {report}: there is no folder {report.parent}; make it, or name another")


def _stored(dataset: OpenDataset, described: dict[str, Any]) -> Path | OutputError:
    """The file that keeps the fingerprint, or why there is none: what was found is worth printing all the same."""
    from segkit.data.fingerprint_file import store_fingerprint

    try:
        return store_fingerprint(dataset, described)
    except OutputError as error:
        return error


def _document(dataset: OpenDataset, described: dict[str, Any], stored: Path | OutputError) -> dict[str, Any]:
    return {
        "data": str(dataset.root),
        "read_as": dataset.listing.layout,
        "images": {part: len(ids) for part, ids in dataset.splits().items()},
        "classes": list(dataset.classes.names),
        "fingerprint": described,
        "fingerprint_file": str(stored) if isinstance(stored, Path) else None,
        "findings": [dataclasses.asdict(found) for found in dataset.findings],
    }


def _print(dataset: OpenDataset, described: dict[str, Any], stored: Path | OutputError, given: str) -> None:
    from segkit.data.description import table
    from segkit.data.findings import slices_joined
    from segkit.data.opening import describe_finding

    kept = str(stored) if isinstance(stored, Path) else f"not stored: {stored} with $SEGKIT_CACHE"
    for line in (*dataset.describe(), "", *table(described), f"fingerprint: {kept}"):
        typer.echo(line)
    for found in dataset.findings:
        # Every file has its own line here; the description of a finding names only the first ones.
        headline = describe_finding(dataclasses.replace(found, files=()))
        typer.secho(f"\n{headline}", fg=COLORS[found.severity])
        for file in slices_joined(found.files):
            typer.echo(f"    {file}")
    errors = len(dataset.errors)
    warnings = sum(found.severity == "warning" for found in dataset.findings)
    typer.echo(f"\n{counted(errors, 'error')}, {counted(warnings, 'warning')}; {_verdict(dataset, given)}")


def _verdict(dataset: OpenDataset, given: str) -> str:
    """What training would say to this data set with the options given."""
    from segkit.data.rules import allowable

    if not dataset.errors:
        return f"ready: segkit train {shlex.quote(str(dataset.root))} {given}".rstrip()
    codes = dict.fromkeys(found.code for found in dataset.errors)
    refused = "training would refuse this data set"
    if codes.keys() <= set(allowable()):
        return f"{refused}; to go on nevertheless: {' '.join(f'--allow {code}' for code in codes)}"
    return refused
