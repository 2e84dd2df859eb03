"""`segkit export`: a model as a file for other engines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segkit.cli import options
from segkit.errors import UsageError


def export(
    model: options.Model,
    out: Annotated[
        Path | None, typer.Argument(help="File to write, by default beside the model: .onnx, .xml and .bin, or .pt2.")
    ] = None,
    format_name: Annotated[
        Literal["onnx", "openvino", "torch"] | None,
        typer.Option("--format", help="By default what OUT ends in, else onnx."),
    ] = None,
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "int8"] | None,
        typer.Option(help="Of the exported network, fp32 by default; lower ones are faster on some machines."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Short for --precision int8.")] = False,
    check_on: Annotated[
        Path | None,
        typer.Option("--check-on", help="Labelled images on which both are compared; by default noise is."),
    ] = None,
    allow_loss: Annotated[
        bool, typer.Option("--allow-loss", help="Write the file also where it changes more than the tolerance.")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Write MODEL as a file that needs no PyTorch, classes and preprocessing in it, once both give equal results."""
    from segkit.experiment.export import export_model

    if int8 and precision not in (None, "int8"):
        raise UsageError(f"'--int8' and '--precision {precision}' contradict each other; give one of them")
    export_model(
        model,
        out,
        format=format_name,
        precision="int8" if int8 else precision or "fp32",
        check_on=check_on,
        allow_loss=allow_loss,
        quiet=quiet,
    )
