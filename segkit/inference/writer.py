"""Predictions of many files as files: masks, objects, overlays and tables. A bad file never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.errors import OutputError, SegkitError, UsageError
from segkit.inference.items import VolumeItem, find_items, single_images
from segkit.inference.jobs import Job, Row, make_jobs
from segkit.inference.journal import Journal, identity
from segkit.inference.large import Advance, Tell
from segkit.inference.output_folder import ERRORS, claim, refuse_to_overwrite
from segkit.inference.predictor import Predictor
from segkit.inference.records import COLUMNS, SUMMARY, Record, predict_record, write_tables
from segkit.inference.review import REVIEW, Review
from segkit.inference.shards import ALL, Shard
from segkit.ops.words import counted
from segkit.structures import TaskName

FILES: Mapping[TaskName, tuple[str, ...]] = {
    "segment": ("masks", "probabilities", "overlays", "uncertainty", "disagreement", REVIEW),
    "instances": ("instances", "objects.csv", "objects.json", "overlays"),
    "detect": ("boxes.csv", "boxes.json", "overlays"),
    "classify": (REVIEW,),
}
"""What is written for each head, besides the summary."""

Progress = Callable[[float, int], None]
"""Called with the number of files done and their total; of a large image with what is done of its area as well."""


@dataclass(frozen=True)
class PredictionSummary:
    """What was predicted.

    Attributes:
        out: the folder written to.
        files: number of images and volumes asked for.
        rows: the rows of `summary.csv`: image and class; of masks pixels and share, of boxes and objects their number,
            and their mean score, of classification the probability; the head where there are several; the image's width
            and height, and the seconds from its file to its results.
        errors: file -> why it could not be predicted; the rows of `errors.csv`, which exists only where there are any.
        kept: number of images and volumes that were done before.
        shard: the part of the work that this is.
        paged: files whose pages were taken for slices, because the model takes no image of so many channels.
        sliced: volumes whose slices are results of their own, because the model gives more than masks.
    """

    out: Path
    files: int
    rows: Sequence[Row]
    errors: Mapping[Path, str]
    paged: Sequence[Path] = ()
    sliced: Sequence[Path] = ()
    kept: int = 0
    shard: Shard = ALL

    def describe(self) -> str:
        """What a person is told at the end."""
        done = f"{self.files - len(self.errors)} of {self.files} images predicted; results in {self.out}"
        if self.kept:
            done += f"; {self.kept} were done before"
        if self.paged:
            done += (
                f"; the pages of {counted(len(self.paged), 'file')} were taken for slices, for example of "
                f"{self.paged[0]}: the model takes no image of so many channels"
            )
        if self.sliced:
            done += (
                f"; {counted(len(self.sliced), 'volume')} predicted slice by slice, each an image with objects of its "
                f"own, for example of {self.sliced[0]}"
            )
        if not self.errors:
            return done
        file, reason = next(iter(self.errors.items()))
        first = reason if str(file) in reason else f"{file}: {reason}"
        return f"{done}; {len(self.errors)} failed, see {self.out / self.shard.file(ERRORS)}; the first: {first}"


def write_predictions(
    predictor: Predictor,
    files: Sequence[Path],
    out: str | Path,
    overlay: bool = False,
    probabilities: bool = False,
    uncertainty: bool = False,
    progress: Progress = lambda _done, _total: None,
    tell: Tell = lambda _line: None,
    shard: Shard = ALL,
    resume: bool = False,
) -> PredictionSummary:
    """Predict files and write what each head of the model says, and the tables.

    - `segment`: `masks/NAME.png`, and `probabilities/NAME.npz` where asked for;
    - `instances`: `instances/NAME.png`, 16 bits, 0 no object, and of all images `objects.csv` and `objects.json` (COCO,
      run lengths);
    - `detect`: of all images `boxes.csv` and `boxes.json` (COCO);
    - `classify`: rows of the summary alone.

    With `uncertainty` the entropy of every pixel of a mask is `uncertainty/NAME.png`, 0 sure and 255 all classes alike,
    how far several views or networks disagree `disagreement/NAME.png`, and both means stand, those of classes of images
    too, in `review.csv`, the worst image first.

    Overlays are `overlays/NAME.png`. A volume, a DICOM series among them, gives one mask in its geometry,
    `masks/NAME.nii.gz` (a TIFF stack `masks/NAME.tif`), and folders of the others, `overlays/NAME/017.png` for example;
    a model that does more than segment takes its slices one by one. Where a model only segments, the mask of an image
    of more than `LARGE` pixels is `masks/NAME.tif`, and the same call goes on with it where one was interrupted
    (`write_large_mask`). The tables are `summary.csv` and, where a file failed, `errors.csv`; they are written too when
    the work is interrupted. NAME follows from `output_names`.

    What is done stands in a journal (`Journal`): with `resume` it is not predicted again, and has its place in the
    tables. Of a `shard` the tables have names of their own, `summary-1-of-4.csv`, so that several processes can write
    into one folder; `resume` without a shard then writes the tables of all.

    Raises:
        UsageError: overlays, probabilities or uncertainty are asked of a model without them, a result would overwrite
            an input, or `out` holds such files of somebody else, the masks of a data set for example, or with `resume`
            results of another model or of other options; nothing has been written.
        OutputError: the results cannot be written, the disk is full for example.
    """
    _require_possible(predictor, overlay, probabilities, uncertainty)
    review = Review() if uncertainty else None
    out, pipeline = Path(out), predictor.pipeline
    items = find_items(files, pipeline.channels, pipeline.axis, pipeline.convert)
    volumes = [item for item in items if isinstance(item, VolumeItem)]
    only_segments = predictor.heads.keys() == {"segment"}
    jobs = make_jobs(items if only_segments else single_images(items), out, overlay, probabilities, review)
    refuse_to_overwrite(files, [target for job in jobs for target in job.targets])
    names = [name for task in predictor.heads for name in FILES[task]]
    claim(out, "segkit predict", shard.file(SUMMARY), COLUMNS, names, out.glob("summary*.csv"))
    asked = {"--overlay": overlay, "--probabilities": probabilities, "--uncertainty": uncertainty}
    journal = Journal(out, shard, identity(predictor, [option for option, given in asked.items() if given]), resume)
    jobs = shard.of(jobs)
    records = {job.file: record for job in jobs if (record := journal.find(job))}
    kept, errors = len(records), dict[Path, str]()
    try:
        _predict(predictor, jobs, journal, records, errors, progress, tell)
    finally:
        done = [records[job.file] for job in jobs if job.file in records]
        write_tables(out, predictor.heads, done, errors, uncertainty, shard)
    rows = [row for record in done for row in record.rows]
    paged = [volume.path for volume in volumes if volume.paged]
    sliced = [volume.path for volume in volumes if not only_segments]
    return PredictionSummary(out, len(jobs), rows, errors, paged, sliced, kept, shard)


def _predict(
    predictor: Predictor,
    jobs: Sequence[Job],
    journal: Journal,
    records: dict[Path, Record],
    errors: dict[Path, str],
    progress: Progress,
    tell: Tell,
) -> None:
    """Predict what has no record yet, and give it one, or a line among the errors."""
    for job in jobs:
        done = len(records) + len(errors)
        if job.file in records:
            continue
        try:
            records[job.file] = predict_record(job, predictor, _within(progress, done, len(jobs)), tell)
            journal.add(job, records[job.file])
        except OutputError:
            raise
        except SegkitError as error:
            errors[job.file] = str(error)
        progress(done + 1, len(jobs))


def _within(progress: Progress, done: int, total: int) -> Advance:
    """The progress of one file after `done` others."""
    return lambda share: progress(done + share, total)


def _require_possible(predictor: Predictor, overlay: bool, probabilities: bool, uncertainty: bool) -> None:
    """Raise `UsageError` where no head of the model gives what is asked for."""
    if uncertainty and not predictor.heads.keys() & {"segment", "classify"}:
        raise UsageError(
            "'--uncertainty' is that of the classes of pixels or images, and the model finds objects; leave it out: "
            "the tables hold the score of every object"
        )
    if predictor.heads.keys() == {"classify"} and (overlay or probabilities):
        asked = "--overlay" if overlay else "--probabilities"
        raise UsageError(
            f"'{asked}' needs a model that predicts masks, and this one classifies; leave it out: the probability of "
            f"every class stands in {SUMMARY}"
        )
    if probabilities and "segment" not in predictor.heads:
        tasks = " and ".join(predictor.heads)
        raise UsageError(
            f"'--probabilities' are those of a mask's classes, and the model's task is {tasks}; "
            "leave it out: the tables hold the score of every object"
        )
