"""`segkit predict`: masks, objects, boxes and labels for images."""

from __future__ import annotations

from typing import Annotated

import typer

from segkit.cli import options
from segkit.errors import SegkitError


def predict(
    model: options.Model,
    inputs: Annotated[
        list[str], typer.Argument(help="Images, volumes, folders, globs, or a .txt file with one path per line.")
    ],
    output: options.Output,
    overlay: Annotated[bool, typer.Option("--overlay", help="Also write what is found drawn over the image.")] = False,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Also write class probabilities as .npz.")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Also write how unsure the model is, and review.csv, the worst first.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="The part of the work that is done, as 1/4: the first of four processes with one folder."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on: what is done already is not done again.")] = False,
    device: options.Device = "auto",
    engine: options.Engine = "auto",
    tta: options.Tta = None,
    precision: options.AnyPrecision = None,
    quiet: options.Quiet = False,
) -> None:
    """Write what the model finds in every image or volume, and a summary; a bad file never stops the rest.

    Several models, named one after the other before the inputs, are used as one. A mask, or an image of numbered
    objects, has exactly the image's size; boxes and objects also stand in tables.
    Large images are predicted part by part; interrupted, the same command goes on with them.
    """
    from segkit.experiment.console import Teller
    from segkit.inference.inputs import expand_inputs
    from segkit.inference.shards import ALL, Shard
    from segkit.inference.together import load_together, split_models
    from segkit.inference.writer import write_predictions

    part = ALL if shard is None else Shard.parse(shard)
    models, inputs = split_models(model, inputs)
    files = expand_inputs(inputs)
    predictor = load_together(models, device=device, precision=precision, engine=engine, tta=tta)
    teller = Teller(quiet)
    teller.tell(*predictor.notes)
    with teller.progress("predicting", len(files)) as advance:
        summary = write_predictions(
            predictor,
            files,
            output,
            overlay=overlay,
            probabilities=probabilities,
            uncertainty=uncertainty,
            progress=advance,
            tell=teller.tell,
            shard=part,
            resume=resume,
        )
    if summary.errors:
        raise SegkitError(summary.describe())
    teller.tell(summary.describe())
