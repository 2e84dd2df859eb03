"""`segkit classify`: what an image shows."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from segkit.cli import options
from segkit.errors import NOT_COMPLETED, SegkitError, UsageError


def classify(
    model: options.Model,
    inputs: Annotated[list[str], typer.Argument(help="Images, folders, globs, or a .txt file with one path per line.")],
    top: Annotated[int, typer.Option(min=1, help="Classes listed per image.")] = 5,
    as_json: options.Json = False,
    device: options.Device = "auto",
    precision: options.Precision = None,
) -> None:
    """Print the most probable classes of every image; a bad file never stops the rest."""
    from segkit.inference.inputs import expand_inputs
    from segkit.inference.loading import load

    files = expand_inputs(inputs)
    predictor = load(model, device=device, precision=precision)
    if predictor.task != "classify":
        raise UsageError(f"{model} predicts masks, it does not classify; use: segkit predict {model} ... -o OUT")
    rows: list[dict[str, Any]] = []
    for file in files:
        try:
            best = predictor.classify(file).top(top)
            rows.append({"image": str(file), "classes": [{"name": name, "probability": share} for name, share in best]})
        except SegkitError as error:
            rows.append({"image": str(file), "error": str(error)})
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        _print_rows(rows)
    if any("error" in row for row in rows):
        raise typer.Exit(NOT_COMPLETED)


def _print_rows(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if "error" in row:
            typer.echo(f"error: {row['error']}", err=True)
            continue
        listed = "  ".join(f"{found['name']} {found['probability']:.1%}" for found in row["classes"])
        typer.echo(f"{row['image']}  {listed}")
