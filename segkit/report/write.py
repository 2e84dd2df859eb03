"""From a run folder to `report.html`."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import jinja2

from segkit.ops.files import write_atomically
from segkit.report.page import page
from segkit.report.run_files import read_run


def write_report(folder: str | Path) -> Path:
    """Write `report.html` into a run folder: one file that asks nothing of the network.

    Sections whose files are missing are left out.

    Raises:
        UsageError: the folder holds neither a training nor an evaluation.
        DataError: one of the run's files is damaged.
        OutputError: the page cannot be written.
    """
    content = page(read_run(folder))
    target = Path(folder) / "report.html"
    write_atomically(target, template("page.html.jinja").render(**content).encode())
    return target


def template(name: str) -> jinja2.Template:
    """A template of this package, with the filters that write numbers."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: files("segkit.report").joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["score"] = _score
    environment.filters["percent"] = lambda value: "–" if value is None else f"{100 * value:.1f} %"
    environment.filters["whole_percent"] = lambda value: f"{100 * value:.0f}"
    environment.filters["grouped"] = lambda value: f"{value:,}".replace(",", "\u202f")
    return environment.get_template(name)


def _score(value: float | None) -> str:
    """Three decimals, as scores have; one of a long distance, in which no more of them mean anything."""
    if value is None:
        return "–"
    return f"{value:.1f}" if value >= 100 else f"{value:.3f}"
