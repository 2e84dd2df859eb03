"""`segkit detect`: the boxes of the objects in images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segkit.cli import options
from segkit.errors import NOT_COMPLETED, SegkitError, UsageError
from segkit.ops.words import counted

if TYPE_CHECKING:
    from segkit.inference.predictor import Predictor
    from segkit.inference.results import DetectionResult
    from segkit.structures import Progress

Row = dict[str, Any]


def detect(
    model: options.Model,
    inputs: Annotated[list[str], typer.Argument(help="Images, folders, globs, or a .txt file with one path per line.")],
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least score of a box; by default the model's own.")
    ] = None,
    max_detections: Annotated[int | None, typer.Option(min=1, help="Boxes per image, the surest.")] = None,
    as_json: options.Json = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the files of --format and --overlay.")
    ] = None,
    format_name: Annotated[
        Literal["coco", "yolo", "csv"] | None, typer.Option("--format", help="Files written into -o; by default csv.")
    ] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw the boxes over the images, into -o.")] = False,
    device: options.Device = "auto",
    precision: options.Precision = None,
) -> None:
    """Print the boxes in every image, in its own pixels, or write them into files; a bad file never stops the rest."""
    from segkit.experiment.console import Teller
    from segkit.inference.box_files import write_boxes
    from segkit.inference.inputs import expand_inputs
    from segkit.inference.loading import load

    if output is None and (format_name or overlay):
        raise UsageError(f"{'--overlay' if overlay else '--format'} writes files; name their folder with -o")
    files = expand_inputs(inputs)
    predictor = load(model, device=device, precision=precision)
    if "detect" not in predictor.heads:
        raise UsageError(f"{model} finds no boxes, its task is {' and '.join(predictor.heads)}; use segkit predict")
    for note in predictor.notes:
        typer.echo(note, err=True)
    least = predictor.pipeline.objects.threshold if threshold is None else threshold
    teller, errors = Teller(quiet=as_json), list[Row]()
    with teller.progress("detecting", len(files)) as advance:
        found = _found(predictor, files, least, max_detections, errors, advance)
        if output is not None:
            written = write_boxes(found, output, format_name or "csv", overlay)
            teller.tell(f"{counted(written, 'image')} with their boxes in {output}")
        elif as_json:
            typer.echo(json.dumps([_row(file, result) for file, result in found] + errors, indent=1))
        else:
            _print(found)
    if errors:
        typer.echo(f"{len(errors)} of {counted(len(files), 'image')} could not be read:", err=True)
        for row in errors:
            typer.echo(f"  {row['image']}: {row['error']}", err=True)
        raise typer.Exit(NOT_COMPLETED)


def _found(
    predictor: Predictor,
    files: Sequence[Path],
    threshold: float,
    most: int | None,
    errors: list[Row],
    advance: Progress,
) -> Iterator[tuple[Path, DetectionResult]]:
    """The boxes of each file as it is done; files that cannot be read go to the errors."""
    for done, file in enumerate(files, start=1):
        try:
            result = predictor.detect(file).above(threshold)
            yield file, result if most is None else result.surest(most)
        except SegkitError as error:
            errors.append({"image": str(file), "error": str(error)})
        advance(done, len(files))


def _row(file: Path, result: DetectionResult) -> Row:
    height, width = result.size
    return {"image": str(file), "width": width, "height": height, "boxes": result.to_table()}


def _print(found: Iterator[tuple[Path, DetectionResult]]) -> None:
    """One line per image with the number of boxes, then one per box."""
    for file, result in found:
        typer.echo(f"{file}  {len(result)} {'box' if len(result) == 1 else 'boxes'}")
        width = max((len(name) for name in result.names), default=0)
        for row in result.to_table():
            box = "  ".join(f"{side} {row[side]:g}" for side in ("left", "top", "right", "bottom"))
            typer.echo(f"  {row['class']:<{width}}  {row['score']:.2f}  {box}")
