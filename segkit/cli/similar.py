"""`segkit similar`: the images of a folder that look most like another to a model."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from segkit.cli import options
from segkit.errors import NOT_COMPLETED


def similar(
    model: options.Model,
    image: options.Image,
    inputs: Annotated[list[str], typer.Argument(help="Images, folders, globs, or a .txt file with one path per line.")],
    top: Annotated[int, typer.Option(min=1, help="Images listed.")] = 6,
    as_json: options.Json = False,
    device: options.Device = "auto",
) -> None:
    """List the nearest images by the Euclidean distance of the last hidden layer; a bad file never stops the rest."""
    from segkit.experiment.console import Teller
    from segkit.explanation.similar import find_similar
    from segkit.inference.inputs import expand_inputs
    from segkit.inference.loading import load

    files = expand_inputs(inputs)
    predictor = load(model, device=device, precision="fp32")
    for note in predictor.notes:
        typer.echo(note, err=True)
    with Teller(as_json).progress("comparing", len(files)) as advance:
        found = find_similar(predictor, image, files, top, advance)
    if as_json:
        nearest = [{"image": str(file), "distance": distance} for file, distance in found.nearest]
        errors = [{"image": str(file), "error": error} for file, error in found.errors.items()]
        typer.echo(json.dumps({"image": str(image), "nearest": nearest, "errors": errors}, indent=1))
    else:
        for file, distance in found.nearest:
            typer.echo(f"{distance:10.4f}  {file}")
        for file, error in found.errors.items():
            typer.echo(f"error: {error if str(file) in error else f'{file}: {error}'}", err=True)
    if found.errors:
        raise typer.Exit(NOT_COMPLETED)
