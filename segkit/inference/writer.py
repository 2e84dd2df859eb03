"""Predictions of many files as files: masks, overlays, probabilities and tables. A bad file never stops the rest."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import OutputError, SegkitError, UsageError
from segkit.inference.items import VolumeItem, find_items, single_images
from segkit.inference.jobs import Row, make_jobs
from segkit.inference.predictor import Predictor
from segkit.ops.files import make_folder, write_atomically
from segkit.ops.words import counted

SUMMARY, ERRORS = "summary.csv", "errors.csv"

Progress = Callable[[int, int], None]
"""Called with the number of files done and their total."""


@dataclass(frozen=True)
class PredictionSummary:
    """What was predicted.

    Attributes:
        out: the folder written to.
        files: number of images and volumes asked for.
        rows: the rows of `summary.csv`: image, class, pixels, share; for classification image, class, probability.
        errors: file -> why it could not be predicted; the rows of `errors.csv`, which exists only where there are any.
        paged: files whose pages were taken for slices, because the model takes no image of so many channels.
    """

    out: Path
    files: int
    rows: Sequence[Row]
    errors: Mapping[Path, str]
    paged: Sequence[Path] = ()

    def describe(self) -> str:
        """What a person is told at the end."""
        done = f"{self.files - len(self.errors)} of {self.files} images predicted; results in {self.out}"
        if self.paged:
            done += (
                f"; the pages of {counted(len(self.paged), 'file')} were taken for slices, for example of "
                f"{self.paged[0]}: the model takes no image of so many channels"
            )
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

    A volume, a DICOM series among them, gives one mask in its geometry, `masks/NAME.nii.gz` (a TIFF stack
    `masks/NAME.tif`), and folders of the others, `overlays/NAME/017.png` for example; a classifier takes its slices one
    by one. The tables are `summary.csv` and, where a file failed, `errors.csv`; they are written too when the work is
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
    pipeline = predictor.pipeline
    items = find_items(files, pipeline.channels, pipeline.axis, pipeline.convert)
    paged = [item.path for item in items if isinstance(item, VolumeItem) and item.paged]
    jobs = make_jobs(single_images(items) if predictor.task == "classify" else items, out, overlay, probabilities)
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
    return PredictionSummary(out, len(jobs), rows, errors, tuple(paged))


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
