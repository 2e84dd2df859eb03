"""Predictions of many files as files: masks, overlays, probabilities and tables. A bad file never stops the rest."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonpath
from pathlib import Path
from typing import Any

import numpy as np

from segkit.data.image_io import read_image, write_image, write_mask
from segkit.errors import OutputError, SegkitError, UsageError
from segkit.inference.predictor import Predictor
from segkit.ops.files import make_folder, write_atomically
from segkit.structures import SegmentationResult
from segkit.visualization.overlay import overlay as draw_overlay

SUMMARY, ERRORS = "summary.csv", "errors.csv"

Progress = Callable[[int, int], None]
"""Called with the number of files done and their total."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class PredictionSummary:
    """What was predicted.

    Attributes:
        out: the folder written to.
        files: number of files asked for.
        rows: the rows of `summary.csv`: image, class, pixels, share; for classification image, class, probability.
        errors: file -> why it could not be predicted; the rows of `errors.csv`, which exists only where there are any.
    """

    out: Path
    files: int
    rows: Sequence[Row]
    errors: Mapping[Path, str]

    def describe(self) -> str:
        """What a person is told at the end."""
        done = f"{self.files - len(self.errors)} of {self.files} images predicted; results in {self.out}"
        if not self.errors:
            return done
        file, reason = next(iter(self.errors.items()))
        first = reason if str(file) in reason else f"{file}: {reason}"
        return f"{done}; {len(self.errors)} failed, see {self.out / ERRORS}; the first: {first}"


def write_predictions(
    predictor: Predictor,
    files: Sequence[Path],
    out: str | Path,
    overlay: bool = False,
    probabilities: bool = False,
    progress: Progress | None = None,
) -> PredictionSummary:
    """Predict files and write `masks/NAME.png`, `overlays/NAME.png`, `probabilities/NAME.npz` and the tables.

    The tables are `summary.csv` and, where a file failed, `errors.csv`; they are written too when the work is
    interrupted. NAME follows from `output_names`. A classifier writes the tables only.

    Raises:
        UsageError: overlays or probabilities are asked of a classifier, a result would overwrite an input, or `out`
            holds such files of somebody else, the masks of a data set for example; nothing has been written.
        OutputError: the results cannot be written, the disk is full for example.
    """
    if predictor.task == "classify" and (overlay or probabilities):
        asked = "--overlay" if overlay else "--probabilities"
        raise UsageError(
            f"'{asked}' needs a model that predicts masks, and this one classifies; leave it out: the probability of "
            f"every class stands in {SUMMARY}"
        )
    out = Path(out)
    jobs = [_Job(file, out, name, overlay, probabilities) for file, name in output_names(files).items()]
    _refuse_to_overwrite(files, [target for job in jobs for target in job.targets])
    _claim(out)
    rows: list[Row] = []
    errors: dict[Path, str] = {}
    try:
        for done, job in enumerate(jobs, start=1):
            try:
                rows += job.run(predictor)
            except OutputError:
                raise
            except SegkitError as error:
                errors[job.file] = str(error)
            if progress is not None:
                progress(done, len(jobs))
    finally:
        _write_tables(out, rows, errors)
    return PredictionSummary(out, len(jobs), rows, errors)


@dataclass(frozen=True)
class _Job:
    """One file and where its results go."""

    file: Path
    out: Path
    name: str
    overlay: bool
    probabilities: bool

    @property
    def mask_file(self) -> Path:
        return self.out / "masks" / f"{self.name}.png"

    @property
    def overlay_file(self) -> Path:
        return self.out / "overlays" / f"{self.name}.png"

    @property
    def probabilities_file(self) -> Path:
        return self.out / "probabilities" / f"{self.name}.npz"

    @property
    def targets(self) -> tuple[Path, ...]:
        return self.mask_file, self.overlay_file, self.probabilities_file

    def run(self, predictor: Predictor) -> list[Row]:
        """Predict the file, write its results and return its rows of the summary."""
        image = read_image(self.file)
        result = predictor.predict(image, probabilities=self.probabilities)
        if not isinstance(result, SegmentationResult):
            best_first = result.top(len(result.names))
            return [{"image": self.file, "class": name, "probability": f"{share:.6f}"} for name, share in best_first]
        make_folder(self.mask_file.parent)
        write_mask(self.mask_file, result.mask, result.classes)
        if self.overlay:
            make_folder(self.overlay_file.parent)
            write_image(self.overlay_file, draw_overlay(image, result.mask, result.classes))
        if result.probabilities is not None:
            make_folder(self.probabilities_file.parent)
            content = _npz(probabilities=result.probabilities, classes=result.classes.names)
            write_atomically(self.probabilities_file, content)
        return [
            {"image": self.file, "class": name, "pixels": pixels, "share": f"{pixels / result.mask.size:.6f}"}
            for name, pixels in result.areas().items()
        ]


def output_names(files: Sequence[Path]) -> dict[Path, str]:
    """Names for results, one rule for all files: the stem; where stems repeat the path below the files' common folder
    without suffix; where these repeat too the path with suffix. Case does not tell names apart, as on some disks."""
    if not files:
        return {}
    root = Path(commonpath([file.absolute().parent for file in files]))
    below = [file.absolute().relative_to(root) for file in files]
    rules = [[path.stem for path in below], [path.with_suffix("").as_posix() for path in below]]
    fallback = [path.as_posix() for path in below]
    names = next((names for names in rules if len({name.casefold() for name in names}) == len(files)), fallback)
    return dict(zip(files, names, strict=True))


def _refuse_to_overwrite(files: Sequence[Path], targets: Sequence[Path]) -> None:
    inputs = {file.resolve() for file in files}
    clash = next((target for target in targets if target.resolve() in inputs), None)
    if clash is not None:
        raise UsageError(f"{clash} is one of the images and would be overwritten; name another folder with -o")


def _claim(out: Path) -> None:
    """Make the folder of results, or take up one of earlier results, known by the `summary.csv` that is written first.

    Everything else is refused: a data set's own `masks/` would be replaced by predictions.
    """
    summary = out / SUMMARY
    if summary.is_file() and summary.read_bytes().startswith(b"image,class"):
        return
    taken = [name for name in ("masks", "overlays", "probabilities", SUMMARY, ERRORS) if (out / name).exists()]
    if taken:
        raise UsageError(f"{out / taken[0]} exists and is no result of segkit predict; name another folder with -o")
    _write_tables(make_folder(out), [], {})


def _write_tables(out: Path, rows: Sequence[Row], errors: Mapping[Path, str]) -> None:
    columns = list(rows[0]) if rows else ["image", "class"]
    write_atomically(out / SUMMARY, _table(columns, rows))
    if errors:
        listed = [{"image": file, "error": error} for file, error in errors.items()]
        write_atomically(out / ERRORS, _table(["image", "error"], listed))
    else:
        (out / ERRORS).unlink(missing_ok=True)  # of an earlier run into the same folder


def _table(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode("utf-8")


def _npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()
