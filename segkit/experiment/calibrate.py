"""`calibrate`: the temperature that makes a model's probabilities believable, found on images it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segkit.data.opening import OpenDataset
from segkit.errors import DataError, UsageError
from segkit.evaluation.probabilities import Cases, collect_cases
from segkit.experiment.console import Teller
from segkit.experiment.evaluate import Choice, choose_records, open_labelled
from segkit.inference.exported import is_exported
from segkit.inference.loading import find_model_file, load
from segkit.inference.predictor import Predictor
from segkit.metrics.calibration import BINS, Reliability, fit_temperature, likelihood, reliability
from segkit.modelfile import is_ensemble, load_model_file, save_model_file
from segkit.ops.scores import softened
from segkit.ops.words import counted
from segkit.report.reliability import refuse_other_suffix, write_reliability
from segkit.structures import ClassMap, TaskName


@dataclass(frozen=True)
class Calibration:
    """What a temperature does to the probabilities of a head.

    Attributes:
        temperature: that logits are divided by.
        before: reliability at temperature 1.
        after: at the temperature found, on the same cases.
        likelihoods: mean negative log-likelihood before and after.
        cases: pixels, or images where these are classified.
        images: that the cases are from.
        part: which images they are.
    """

    temperature: float
    before: Reliability
    after: Reliability
    likelihoods: tuple[float, float]
    cases: int
    images: int
    part: str

    @classmethod
    def of(cls, cases: Cases, part: str) -> Calibration:
        """The temperature of the least negative log-likelihood of the cases."""
        logits = np.log(np.maximum(cases.probabilities, np.finfo(np.float32).tiny))
        temperature = fit_temperature(logits, cases.labels)
        after = softened(logits, temperature, axis=1)
        return cls(
            temperature,
            reliability(cases.probabilities, cases.labels),
            reliability(after, cases.labels),
            (likelihood(logits, cases.labels), likelihood(logits, cases.labels, temperature)),
            len(cases.labels),
            cases.images,
            part,
        )

    def to_json(self) -> dict[str, Any]:
        """As it stands in the model file."""
        return {
            "temperature": round(self.temperature, 6),
            "ece": {"before": round(self.before.error, 6), "after": round(self.after.error, 6)},
            "negative_log_likelihood": dict(
                zip(("before", "after"), (round(value, 6) for value in self.likelihoods), strict=True)
            ),
            "bins": BINS,
            "cases": self.cases,
            "images": self.images,
            "part": self.part,
            "before": self.before.to_json(),
            "after": self.after.to_json(),
        }

    def describe(self, head: TaskName) -> str:
        """One line for people."""
        pixels = f"{self.cases:,} pixels of " if head == "segment" else ""
        return (
            f"{head}: temperature {self.temperature:.3f}; expected calibration error {self.before.error:.4f} before, "
            f"{self.after.error:.4f} after ({BINS} bins, {pixels}{counted(self.images, 'image')}); "
            f"negative log-likelihood {self.likelihoods[0]:.4f} before, {self.likelihoods[1]:.4f} after"
        )


def calibrate(
    model: str | Path,
    data: str | Path,
    *,
    split: Literal["val", "all"] = "val",
    output: str | Path | None = None,
    device: str = "auto",
    quiet: bool = False,
    format: str | None = None,  # noqa: A002, the word of the command line
    map: Mapping[int | Literal["other"], int] | None = None,  # noqa: A002
    ignore: Sequence[int] = (),
    allow: Sequence[str] = (),
) -> dict[TaskName, Calibration]:
    """Find the temperature of each head that gives probabilities of classes, and write it into the model file.

    What is decided stays as it was: temperatures change probabilities, not their order. An earlier temperature is
    replaced.

    Args:
        model: model file, run folder or name.
        data: the data set; of one the model was trained on its own validation part is used, of others theirs.
        split: `all` uses every image, of data unknown to the model.
        output: `.png` or `.svg` file for a picture of the reliability before and after.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        quiet: print nothing.
        format: data format; recognised where None.
        map: mask values to class ids, where they differ from those of the training.
        ignore: mask values that are not counted.
        allow: codes of check errors to go on with.

    Returns:
        By head what was found; the model file holds it as `scores["calibration"]`.

    Raises:
        UsageError: a model without such heads or of several networks, a wrong argument, or a part without images.
        DataError: a data set with errors, without targets, or with images the model was trained on.
        OutputError: the model file or the picture cannot be written.
    """
    if output is not None:
        refuse_other_suffix(output)
    path = _one_network(model)
    teller = Teller(quiet)
    predictor = _uncalibrated(load(path, device=device))
    given = {"format": format, "map": map or {}, "ignore": tuple(ignore), "allow": tuple(allow)}
    dataset, classes = open_labelled(predictor, data, given, teller)
    heads = _calibrated_heads(dataset, classes)
    chosen = _choose(predictor, dataset, split)
    images = counted(len(chosen.records), "image")
    teller.tell(*predictor.notes, *chosen.notes, f"calibrating on {images} ({chosen.part}) of {dataset.root}")
    with teller.progress("calibrating", len(chosen.records)) as advance:
        cases = collect_cases(predictor, chosen.records, heads, advance)
    if not cases:
        raise DataError(f"none of the images has a target to {' or '.join(heads)}; name other data")
    found = {head: Calibration.of(of_head, chosen.part) for head, of_head in cases.items()}
    _store(path, found)
    if output is not None:
        write_reliability(output, {head: (each.before, each.after) for head, each in found.items()})
    teller.tell(*(each.describe(head) for head, each in found.items()))
    teller.tell("found and measured on the same images, so the errors after are a little better than on new ones")
    teller.tell(f"written into {path}: masks and labels stay as they are", *([f"drawn: {output}"] if output else []))
    return found


def _one_network(model: str | Path) -> Path:
    path = find_model_file(model)
    if is_ensemble(path):
        raise UsageError(
            f"{path} lists several models, and each image of their data trained some of them; calibrate a single model"
        )
    if is_exported(path):
        raise UsageError(f"{path} was exported; calibrate its model file, and export that again")
    return path


def _uncalibrated(predictor: Predictor) -> Predictor:
    pipeline = predictor.pipeline.model_copy(update={"temperatures": {}})
    return Predictor(predictor.engine, pipeline, predictor.heads, predictor.card, predictor.notes)


def _calibrated_heads(dataset: OpenDataset, classes: Mapping[TaskName, ClassMap]) -> dict[TaskName, ClassMap]:
    heads: dict[TaskName, ClassMap] = {head: classes[head] for head in dataset.heads if head in ("segment", "classify")}
    if not heads:
        raise UsageError(
            "a temperature is that of the classes of pixels or images, and here targets are to "
            f"{' and '.join(dataset.heads)}; name a model that segments or classifies, and data for it"
        )
    return heads


def _choose(predictor: Predictor, dataset: OpenDataset, split: str) -> Choice:
    """The images, none of which the model was trained on; raises `DataError` where some are."""
    chosen = choose_records(predictor, dataset, split)
    trained: set[str] = set(predictor.card.data.get("hashes", {}).get("train", ()) if predictor.card else ())
    known = [record for record in chosen.records if dataset.facts.images[record.id].pixel_hash in trained]
    if known:
        raise DataError(
            f"the model was trained on {len(known)} of the images in {dataset.root}, of which it is surer than of new "
            "ones; leave '--split' out to use its validation part, or name other data"
        )
    return chosen


def _store(path: Path, found: Mapping[TaskName, Calibration]) -> None:
    """Write temperatures and what they do into the model file, its weights as they were."""
    card, tensors = load_model_file(path)
    temperatures = {head: round(each.temperature, 6) for head, each in found.items()}
    pipeline = {**card.pipeline, "temperatures": {**card.pipeline.get("temperatures", {}), **temperatures}}
    scores = {**card.scores, "calibration": {head: each.to_json() for head, each in found.items()}}
    save_model_file(path, tensors, card.model_copy(update={"pipeline": pipeline, "scores": scores}))
