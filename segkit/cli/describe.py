"""`segkit describe`: a network layer by layer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segkit.cli import options

if TYPE_CHECKING:
    from segkit.explanation.describe import Description

_WIDTH = 240


def describe(
    name: Annotated[str, typer.Argument(help="BACKBONE, BACKBONE+DECODER, or a model file, run folder or its name.")],
    size: Annotated[
        int | None, typer.Option(min=1, help="Height and width of the image; by default the network's own, else 224.")
    ] = None,
    task: Annotated[
        Literal["segment", "instances", "detect", "classify"] | None,
        typer.Option(help="What the decoder serves, segment before instances, else classify."),
    ] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="By default 1000 to classify, else 2.")] = None,
    channels: Annotated[int | None, typer.Option(min=1, max=16, help="Of the image; by default 3.")] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            callback=options.image_on_disk,
            help="Measure the effective receptive fields of a trained model on this image.",
        ),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Also draw the architecture: FILE.svg or FILE.png.")] = None,
    backbone_option: Annotated[list[str] | None, typer.Option(help="name=value, as width=24.")] = None,
    decoder_option: Annotated[list[str] | None, typer.Option(help="name=value.")] = None,
    as_json: options.Json = False,
) -> None:
    """Print every layer's size, parameters, connections, multiply-adds, receptive field and memory."""
    from segkit.explanation.describe import describe as run_description

    described = run_description(
        name,
        size=size,
        task=task,
        classes=classes,
        channels=channels,
        image=image,
        backbone_options=options.parse_assignments(backbone_option, "--backbone-option"),
        decoder_options=options.parse_assignments(decoder_option, "--decoder-option"),
    )
    if figure is not None:
        from segkit.report.architecture import write_architecture

        write_architecture(described.complexity, described.name, figure)
    if as_json:
        typer.echo(json.dumps(described.to_dict(), indent=1))
        return
    _print(described)


def _print(described: Description) -> None:
    from rich.console import Console
    from rich.table import Table

    from segkit.explanation.table import COLUMNS, layer_cells, summary

    # Wider than most terminals: a line that is wrapped says more than one whose cells are cut.
    console = Console(highlight=False, width=_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=True)
    for layer in described.complexity.layers:
        table.add_row(*layer_cells(layer))
    console.print(table)
    console.print()
    for line in summary(described):
        console.print(line, markup=False, soft_wrap=True)
