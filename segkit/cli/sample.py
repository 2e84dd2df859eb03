"""`segkit sample`: a small data set made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def sample(
    out: Annotated[Path, typer.Argument(help="Folder to create.")],
    count: Annotated[int, typer.Option(min=3, help="Number of images.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another data set.")] = 0,
) -> None:
    """Write a data set of microscopy-like images with masks, instances, boxes and labels."""
    from segkit.data.synthetic import write_sample

    write_sample(out, count=count, seed=seed)
    typer.echo(f"{count} images with masks in {out}; try: segkit check {out}, segkit train {out}")
