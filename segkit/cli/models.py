"""`segkit models`: what can be built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from segkit.cli import options
from segkit.errors import UsageError

DETAILED = 12
"""Up to so many rows are shown with their options."""


def models(
    search: Annotated[str, typer.Argument(help="Show only names that contain this.", show_default=False)] = "",
    as_json: options.Json = False,
    chart: Annotated[
        Path | None, typer.Option(help="Draw accuracy against cost instead: FILE.png, FILE.svg or FILE.html.")
    ] = None,
) -> None:
    """List the backbones, decoders and heads that --backbone, --decoder and --heads accept."""
    if chart is not None:
        for given, what in ((search, repr(search)), (as_json, "'--json'")):
            if given:
                raise UsageError(f"--chart draws every published score as a picture; leave out {what}")
        _write_chart(chart)
        return
    from segkit.models import list_models

    rows = [row for row in list_models() if search.lower() in row["name"].lower()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        raise UsageError(f"no name contains {search!r}; 'segkit models' lists all")
    _print_table(rows)


def _write_chart(path: Path) -> None:
    from segkit.experiment.console import Teller
    from segkit.report.chart import write_chart

    teller = Teller()
    with teller.progress("computing multiply-adds") as advance:
        write_chart(path, advance)
    teller.tell(f"written: {path}")


def _print_table(rows: list[dict[str, object]]) -> None:
    """One table per kind; the options, which take much room, where few rows are shown."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    hidden = {"kind"} if len(rows) <= DETAILED else {"kind", "options"}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        of_kind = [row for row in rows if row["kind"] == kind]
        table = Table(
            title=f"{len(of_kind)} {kind}s", title_justify="left", box=None, pad_edge=False, header_style="bold"
        )
        columns = [column for column in of_kind[0] if column not in hidden]
        for column in columns:
            table.add_column(column)
        for row in of_kind:
            table.add_row(*(_cell(row[column]) for column in columns))
        console.print(table)
        console.print()
    if "options" in hidden:
        console.print("'segkit models NAME' shows the options, 'segkit describe NAME' the layers")


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
