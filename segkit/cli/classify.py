"""`segkit classify`: what an image shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segkit.cli import options
from segkit.errors import NOT_COMPLETED, SegkitError, UsageError
from segkit.ops.words import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from segkit.inference.predictor import Predictor
    from segkit.structures import Progress, TaskName

Row = dict[str, Any]

BAR = 12
"""Width of the bar of a probability in a terminal's table, in characters."""


def classify(
    model: options.Model,
    inputs: Annotated[list[str], typer.Argument(help="Images, folders, globs, or a .txt file with one path per line.")],
    top: Annotated[int, typer.Option(min=1, help="Classes listed per image.")] = 5,
    as_json: options.Json = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.AnyPrecision = None,
) -> None:
    """Print the most probable classes of every image; a bad file never stops the rest."""
    from segkit.experiment.console import Teller
    from segkit.inference.inputs import expand_inputs
    from segkit.inference.loading import load

    files = expand_inputs(inputs)
    predictor = load(model, device=device, precision=precision, engine=engine)
    if "classify" not in predictor.heads:
        raise UsageError(
            f"{model} {_other_work(predictor.task)}, it does not classify; use: segkit predict {model} ... -o OUT"
        )
    for note in predictor.notes:
        typer.echo(note, err=True)
    teller = Teller(quiet=as_json)
    errors: list[Row] = []
    with teller.progress("classifying", len(files)) as advance:
        rows = _keeping_errors(_rows(predictor, files, top, advance), errors)
        if as_json:
            _print_json(rows)
        elif teller.is_terminal:
            print_table(teller, rows, [str(file) for file in files], predictor.heads["classify"].names)
        else:
            _print_lines(rows)
    if errors:
        _print_errors(errors, len(files))
        raise typer.Exit(NOT_COMPLETED)


def _other_work(task: TaskName) -> str:
    """What a model does that does not classify."""
    return {"segment": "predicts masks", "instances": "finds objects", "detect": "finds boxes"}[task]


def _rows(predictor: Predictor, files: Sequence[Path], top: int, advance: Progress) -> Iterator[Row]:
    """One row per file as it is done: nothing is kept, however many there are."""
    for done, file in enumerate(files, start=1):
        try:
            best = predictor.classify(file).top(top)
            yield {"image": str(file), "classes": [{"name": name, "probability": share} for name, share in best]}
        except SegkitError as error:
            yield {"image": str(file), "error": str(error)}
        advance(done, len(files))


def _keeping_errors(rows: Iterator[Row], errors: list[Row]) -> Iterator[Row]:
    for row in rows:
        if "error" in row:
            errors.append(row)
        yield row


def _print_json(rows: Iterator[Row]) -> None:
    """A list of the rows, each written as soon as it is known; closed also where the work is ended before its time."""
    separator = "[\n "
    try:
        for row in rows:
            typer.echo(f"{separator}{json.dumps(row)}", nl=False)
            separator = ",\n "
    finally:
        typer.echo("\n]" if separator.startswith(",") else "[]")


def _print_lines(rows: Iterator[Row]) -> None:
    """One line per image, for files and pipes."""
    for row in rows:
        if "error" not in row:
            listed = "  ".join(f"{found['name']} {found['probability']:.1%}" for found in row["classes"])
            typer.echo(f"{row['image']}  {listed}")


def print_table(console: Console, rows: Iterator[Row], images: Sequence[str], names: Sequence[str]) -> None:
    """A table for a terminal, row by row as they come: image, most probable class with its bar, the classes behind it.

    Args:
        console: the terminal.
        rows: what was found.
        images: every image that will come; with `names` they give the widths of the columns.
        names: every class.
    """
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text

    image_width = min(max(map(len, images)), console.width // 3)
    class_width = min(max(5, *map(len, names)), console.width // 5)

    def line(*cells: Any, style: str = "") -> None:
        # A table of one row each, of the same widths: a table of many would wait for the last.
        table = Table(box=None, show_header=False, pad_edge=False, expand=True)
        for width in (image_width, class_width, BAR, 6):
            table.add_column(width=width, no_wrap=True)
        table.add_column(ratio=1, no_wrap=True)
        table.add_row(*cells, style=style)
        console.print(table, soft_wrap=False)

    line("image", "class", "", "", "further classes", style="bold")
    for row in rows:
        if "error" in row:
            line(_end_of(row["image"], image_width), "error", "", "", "", style="red")
            continue
        best, *others = row["classes"]
        share = best["probability"]
        behind = "  ".join(f"{found['name']} {found['probability']:.1%}" for found in others)
        bar = Bar(1, 0, share, width=BAR, color="cyan")
        line(_end_of(row["image"], image_width), Text(best["name"]), bar, f"{share:>6.1%}", Text(behind, style="dim"))


def _end_of(text: str, width: int) -> Text:
    """The last `width` characters: paths differ at their end."""
    from rich.text import Text

    return Text(text if len(text) <= width else "…" + text[len(text) - width + 1 :])


def _print_errors(errors: Sequence[Row], images: int) -> None:
    typer.echo(f"{len(errors)} of {counted(images, 'image')} could not be classified:", err=True)
    for row in errors:
        named = row["error"] if row["image"] in row["error"] else f"{row['image']}: {row['error']}"
        typer.echo(f"  {named}", err=True)
