"""`segkit evaluate`: scores of a model on labelled images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from segkit.cli import options


def evaluate(
    models: options.Models,
    data: options.Data,
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        typer.Option(help="By default the test part, of unknown data everything."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for scores per image and overlays.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            help="Of outlines, for the normalized surface distance: mm where the images state their spacing, else "
            "pixels. By default 2."
        ),
    ] = None,
    tta: options.Tta = None,
    as_json: options.Json = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.AnyPrecision = None,
    format_name: options.Format = None,
    value_map: options.ValueMap = None,
    ignore: options.Ignore = None,
    allow: options.Allow = None,
    group_by: options.GroupBy = None,
    quiet: options.Quiet = False,
) -> None:
    """Score MODEL on DATA, with the number of images, the unit and the 95 % interval."""
    from segkit.experiment.evaluate import evaluate as run_evaluation

    evaluation = run_evaluation(
        models,
        data,
        split=split,
        output=output,
        tolerance=tolerance,
        tta=tta,
        device=device,
        precision=precision,
        engine=engine,
        quiet=quiet or as_json,
        **options.data_settings(
            format_name=format_name, value_map=value_map, ignore=ignore, allow=allow, group_by=group_by
        ),
    )
    if as_json:
        typer.echo(json.dumps(evaluation.scores, indent=1))
