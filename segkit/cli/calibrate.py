"""`segkit calibrate`: probabilities that can be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from segkit.cli import options


def calibrate(
    model: options.Model,
    data: options.Data,
    split: Annotated[
        Literal["val", "all"], typer.Option(help="all takes every image, of data the model was not trained on.")
    ] = "val",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Picture of the reliability before and after: .png or .svg.")
    ] = None,
    as_json: options.Json = False,
    device: options.Device = "auto",
    format_name: options.Format = None,
    value_map: options.ValueMap = None,
    ignore: options.Ignore = None,
    allow: options.Allow = None,
    quiet: options.Quiet = False,
) -> None:
    """Make MODEL's probabilities believable: find their temperature on its validation images, and keep it in MODEL.

    Masks and labels stay as they are.
    """
    from segkit.experiment.calibrate import calibrate as run_calibration

    found = run_calibration(
        model,
        data,
        split=split,
        output=output,
        device=device,
        quiet=quiet or as_json,
        **options.data_settings(format_name=format_name, value_map=value_map, ignore=ignore, allow=allow),
    )
    if as_json:
        typer.echo(json.dumps({head: each.to_json() for head, each in found.items()}, indent=1))
