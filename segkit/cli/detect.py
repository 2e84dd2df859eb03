"""`segkit detect`: the boxes of the objects in images."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from segkit.cli import options
from segkit.errors import NOT_COMPLETED, OutputError, SegkitError, UsageError
from segkit.ops.words import counted

if TYPE_CHECKING:
    from segkit.inference.box_files import Found
    from segkit.inference.items import ImageItem
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
    max_detections: Annotated[
        int | None, typer.Option(min=1, help="Boxes per image, the surest; by default the model's own.")
    ] = None,
    as_json: options.Json = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for boxes.csv and the files of --format and --overlay."),
    ] = None,
    format_name: Annotated[
        Literal["coco", "yolo", "csv"] | None,
        typer.Option("--format", help="Files written into -o besides boxes.csv: boxes.json, or labels/ and data.yaml."),
    ] = None,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also draw the boxes over the images, into -o.")] = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    precision: options.AnyPrecision = None,
) -> None:
    """Print the boxes in every image, in its own pixels, or write them into files; a bad file never stops the rest."""
    from segkit.experiment.console import Teller
    from segkit.inference.box_files import BoxFiles
    from segkit.inference.inputs import expand_inputs
    from segkit.inference.items import find_items, single_images
    from segkit.inference.loading import load

    _require_one_place(output, as_json, format_name, overlay)
    files = expand_inputs(inputs)
    predictor = load(model, device=device, precision=precision, engine=engine)
    if "detect" not in predictor.heads:
        tasks = " and ".join(predictor.heads)
        raise UsageError(f"{model} finds no boxes, its task is {tasks}; use: segkit predict {model} ... -o OUT")
    for note in predictor.notes:
        typer.echo(note, err=True)
    pipeline = predictor.pipeline
    items = single_images(find_items(files, pipeline.channels, pipeline.axis, pipeline.convert))
    _give(predictor, threshold, max_detections)
    teller, errors = Teller(quiet=as_json), dict[Path, str]()
    with teller.progress("detecting", len(items)) as advance:
        found = _found(predictor, items, errors, advance)
        if output is not None:
            names = [item.name for item in items]
            BoxFiles(output, format_name or "csv", names, predictor.heads["detect"], overlay).write(found, errors)
        elif as_json:
            rows = [_row(one.file, one.result) for one in found]
            rows += [{"image": str(file), "error": error} for file, error in errors.items()]
            typer.echo(json.dumps(rows, indent=1))
        else:
            _print(found)
    if output is not None:
        teller.tell(f"the boxes of {counted(len(items) - len(errors), 'image')} are in {output}")
    if errors:
        _print_errors(errors, len(items))
        raise typer.Exit(NOT_COMPLETED)


def _require_one_place(output: Path | None, as_json: bool, format_name: str | None, overlay: bool) -> None:
    """Raise `UsageError` where it is not clear where boxes go."""
    if output is None and (format_name or overlay):
        raise UsageError(f"'{'--overlay' if overlay else '--format'}' writes files; name their folder with -o")
    if output is not None and as_json:
        raise UsageError("'--json' prints the boxes and -o writes them into files; give one of the two")


def _give(predictor: Predictor, threshold: float | None, max_detections: int | None) -> None:
    """Have the predictor give the boxes that are asked for, instead of all that evaluation wants."""
    rule = predictor.pipeline.objects
    asked = {
        "least_score": rule.threshold if threshold is None else threshold,
        "max_detections": max_detections or rule.max_detections,
    }
    predictor.pipeline = predictor.pipeline.model_copy(update={"objects": rule.model_copy(update=asked)})


def _found(
    predictor: Predictor, items: Sequence[ImageItem], errors: dict[Path, str], advance: Progress
) -> Iterator[Found]:
    """The boxes of each image as it is done; why there are none of an image goes to the errors."""
    from segkit.inference.box_files import Found

    for done, item in enumerate(items, start=1):
        try:
            image = item.image()
            found = Found(item.name, image, predictor.detect(image))
        except OutputError:
            raise
        except SegkitError as error:
            errors[item.name] = str(error)
        else:
            yield found
        advance(done, len(items))


def _row(file: Path, result: DetectionResult) -> Row:
    height, width = result.size
    return {"image": str(file), "width": width, "height": height, "boxes": result.to_table()}


def _print(found: Iterable[Found]) -> None:
    """One line per image with the number of its boxes, then one per box."""
    for one in found:
        count = len(one.result)
        typer.echo(f"{one.file}  {count} {'box' if count == 1 else 'boxes'}")
        width = max((len(name) for name in one.result.names), default=0)
        for row in one.result.to_table():
            box = "  ".join(f"{side} {row[side]:7.1f}" for side in ("left", "top", "right", "bottom"))
            typer.echo(f"  {row['class']:<{width}}  {row['score']:.2f}  {box}")


def _print_errors(errors: dict[Path, str], images: int) -> None:
    typer.echo(f"{len(errors)} of {counted(images, 'image')} could not be searched for boxes:", err=True)
    for file, error in errors.items():
        typer.echo(f"  {error if str(file) in error else f'{file}: {error}'}", err=True)
