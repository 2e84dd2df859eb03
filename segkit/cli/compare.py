"""`segkit compare`: by how much one run is better than another on the same images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from segkit.cli import options


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="Run folder, or folder of an evaluation.")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="Another one, scored on the same images.")],
    as_json: options.Json = False,
) -> None:
    """Print the paired difference of every score of RUN_B and RUN_A, with its 95 % interval and permutation p."""
    from segkit.evaluation.compare import compare as compare_runs

    comparison = compare_runs(run_a, run_b)
    if as_json:
        typer.echo(json.dumps(comparison.to_json(), indent=1))
    else:
        typer.echo("\n".join(comparison.describe()))
