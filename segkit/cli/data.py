"""`segkit data`: public data sets by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from segkit.cli import options

data = typer.Typer(help="List public data sets, and get them.", no_args_is_help=True)


@data.command(name="list")
def list_sets(as_json: options.Json = False) -> None:
    """List the public data sets that can be got by name, with task, images and licence."""
    from segkit.data.catalogue import catalogue

    if as_json:
        typer.echo(json.dumps({name: entry.model_dump(mode="json") for name, entry in catalogue().items()}, indent=1))
        return
    width = max(map(len, catalogue()))
    for name, entry in catalogue().items():
        images = "/".join(map(str, entry.images.values()))
        typer.echo(f"{name:<{width}}  {entry.task:<8}  {images:>13}  {entry.title}")
        typer.echo(f"{'':<{width}}  licence: {entry.licence}")
    typer.echo("get one: segkit data get NAME [--from FILE_OR_FOLDER] [-o OUT]")


@data.command(name="get")
def get(
    name: Annotated[str, typer.Argument(help="A name that 'segkit data list' shows.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A local copy, archive or folder; then nothing is downloaded."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Folder to write; by default NAME.")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Download a public data set, or unpack a local copy, into a layout that segkit reads."""
    from segkit.data.fetch import fetch
    from segkit.experiment.console import Teller

    teller = Teller(quiet)
    fetch(name, out or Path(name), source, say=teller.tell, bar=teller.progress)
