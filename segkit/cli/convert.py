"""`segkit convert`: a data set in another layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segkit.cli import options


def convert(
    data: options.Data,
    out: Annotated[Path, typer.Argument(help="Folder to write, new or empty.")],
    to: Annotated[str, typer.Option(help="Layout: mask-folder, coco, yolo, voc or nnunet.")],
    task: Annotated[
        Literal["segment", "classify", "detect"] | None,
        typer.Option(help="Targets to write where DATA has several; masks come before boxes."),
    ] = None,
    format_name: options.Format = None,
    classes: options.Classes = None,
    value_map: options.ValueMap = None,
    ignore: options.Ignore = None,
    background: options.Background = None,
    axis: options.Axis = None,
    allow: options.Allow = None,
    split: options.Split = None,
    group_by: options.GroupBy = None,
    quiet: options.Quiet = False,
) -> None:
    """Write DATA in another layout and say what that cannot hold."""
    from segkit.experiment.convert import convert as run_conversion

    run_conversion(
        data,
        out,
        to,
        task=task,
        quiet=quiet,
        **options.data_settings(
            format_name=format_name,
            classes=classes,
            value_map=value_map,
            ignore=ignore,
            background=background,
            axis=axis,
            allow=allow,
            split=split,
            group_by=group_by,
        ),
    )
