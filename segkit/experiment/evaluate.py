"""`evaluate`: scores of a model on labelled images it was not trained on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segkit.data.config import DataConfig
from segkit.data.opening import OpenDataset
from segkit.errors import DataError, UsageError
from segkit.evaluation.evaluate import evaluate_heads
from segkit.evaluation.result import Evaluation, refuse_foreign_folder
from segkit.experiment.console import Teller
from segkit.experiment.flags import flags_of
from segkit.experiment.opening import open_aloud
from segkit.experiment.scores import describe_heads
from segkit.inference.engines._base import EngineName, ExportedPrecision
from segkit.inference.loading import find_model_file
from segkit.inference.predictor import Predictor
from segkit.inference.together import load_together
from segkit.inference.views import Views
from segkit.metrics.boundary import DEFAULT_TOLERANCE
from segkit.ops.words import counted
from segkit.structures import IGNORE_INDEX, PARTS, ClassMap, Record, TaskName


def evaluate(
    model: str | Path | Sequence[str | Path],
    data: str | Path,
    *,
    split: Literal["train", "val", "test", "all"] | None = None,
    output: str | Path | None = None,
    device: str = "auto",
    precision: ExportedPrecision | None = None,
    engine: EngineName | Literal["auto"] = "auto",
    quiet: bool = False,
    format: str | None = None,  # noqa: A002, the word of the command line
    map: Mapping[int | Literal["other"], int] | None = None,  # noqa: A002
    ignore: Sequence[int] = (),
    allow: Sequence[str] = (),
    group_by: str | None = None,
    tolerance: float | None = None,
    tta: Views | None = None,
) -> Evaluation:
    """Score a model on a data set.

    Images are known again by their pixels. Of a data set the model was trained on its own test part is scored, unless
    `split` names another; of any other data set the test part where it has one, else everything. Images the model was
    trained on are refused, unless `split="all"` asks for everything.

    Args:
        model: model file, run folder or name; of several the mean of what they say is scored.
        data: the data set; its masks are read with the model's classes.
        split: the part to score.
        output: folder for `metrics.json`, `per_image.csv`, `confusion_matrix.csv` and overlays; a new or empty one, or
            one of an earlier evaluation, which is replaced.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        precision: the model's own where None.
        engine: what computes, see `load`.
        quiet: print nothing.
        format: data format; recognised where None.
        map: mask values to class ids, where the masks store the classes in another way than those of the training.
        ignore: mask values that are not counted.
        allow: codes of check errors to go on with.
        group_by: a table column or regular expression: images that stay together are one unit.
        tolerance: how far outlines may lie apart for the normalized surface distance, in mm where the images state
            their spacing, else in pixels; 2 where None.
        tta: views of every image that are averaged: `flips`, `d4` or `scales`.

    Of a model of several heads those are scored that the data has targets of.

    Returns:
        The evaluation, of several heads that of the first; its `scores["evaluated"]` says of what: `model` and `data`
        as paths, `part`, `engine` (with device and precision) and the codes that were `allowed`. The scores of further
        heads stand by their names in `scores["further"]`.

    Raises:
        UsageError: a wrong argument, a part without images, or an `output` that holds other files.
        DataError: a data set with errors, or one the model was trained on.
    """
    if output is not None:
        refuse_foreign_folder(output)  # before the data is read, which may take minutes
    teller = Teller(quiet)
    models = [model] if isinstance(model, str | Path) else list(model)
    predictor = load_together(models, device, precision, engine, tta)
    distance = _tolerance(tolerance, predictor)
    given = {"format": format, "map": map or {}, "ignore": tuple(ignore), "allow": tuple(allow), "group_by": group_by}
    dataset, heads = open_labelled(predictor, data, given, teller)
    chosen = choose_records(predictor, dataset, split)
    images = counted(len(chosen.records), "image")
    teller.tell(*predictor.notes, *chosen.notes, f"evaluating {images} ({chosen.part}) of {dataset.root}")
    evaluated = {
        "model": " + ".join(str(find_model_file(model).resolve()) for model in models),
        "data": str(dataset.root.resolve()),
        "part": chosen.part,
        "engine": predictor.engine.description,
        "allowed": list(allow),
    }
    scored = {head: heads[head] for head in dataset.heads}
    found = {
        head: evaluation.with_scores({"evaluated": evaluated})
        for head, evaluation in score(predictor, chosen.records, scored, teller, distance).items()
    }
    if output is not None:
        write_evaluations(found, output)
    teller.tell(*describe_heads(found, predictor.heads))
    main, *others = found.values()
    further = {evaluation.task: evaluation.scores for evaluation in others}
    return main.with_scores({"further": further}) if further else main


def open_labelled(
    predictor: Predictor, data: str | Path, given: Mapping[str, Any], teller: Teller
) -> tuple[OpenDataset, dict[TaskName, ClassMap]]:
    """A data set read with the classes of a model, and these with the further values that `given` maps to them.

    Args:
        predictor: the model.
        data: the data set.
        given: settings of a `DataConfig`, `map` and `ignore` among them.
        teller: is told how it was read.

    Raises:
        UsageError: wrong settings, or targets of another task than the model's.
        DataError: the data set has errors.
    """
    given = {**given, "channels": predictor.pipeline.convert}
    settings = DataConfig.parse(given, "options", flags_of(given))
    heads = {**predictor.heads, predictor.task: _with_values(predictor.classes, given["map"], given["ignore"])}
    dataset = open_aloud(data, settings, teller, heads, predictor.task, tuple(heads))
    if dataset.task not in predictor.heads:
        raise UsageError(
            f"the model was trained to {predictor.task}, {dataset.root} has targets to {dataset.task}; name other data"
        )
    dataset.require_usable()
    return dataset, heads


def score(
    predictor: Predictor,
    records: Sequence[Record],
    heads: Mapping[TaskName, ClassMap],
    teller: Teller,
    tolerance: float = DEFAULT_TOLERANCE,
) -> dict[TaskName, Evaluation]:
    """Evaluate every head with a progress bar; raises `DataError` where no record has a target of any."""
    with teller.progress("evaluating", len(records)) as advance:
        found = evaluate_heads(predictor, records, heads, progress=advance, tolerance=tolerance)
    if not found:
        raise DataError(f"none of the images has a target to {' or '.join(heads)}; name other data")
    return found


def write_evaluations(found: Mapping[TaskName, Evaluation], folder: str | Path) -> None:
    """Write the main head's evaluation into a folder, and those of other heads into folders of their names in it."""
    for number, (task, evaluation) in enumerate(found.items()):
        evaluation.write(Path(folder) / task if number else folder)


def _tolerance(given: float | None, predictor: Predictor) -> float:
    if given is None:
        return DEFAULT_TOLERANCE
    if "segment" not in predictor.heads:
        raise UsageError(
            f"'--tolerance' is of the outlines of masks, and the model is to {predictor.task}; leave it out"
        )
    if not (math.isfinite(given) and given >= 0):
        raise UsageError(f"--tolerance {given:g}: expected a distance of 0 or more, as 2")
    return given


@dataclass(frozen=True)
class Choice:
    """The images that are scored.

    Attributes:
        part: which part they are, as said aloud.
        records: the images.
        notes: what the user should know of the images that are not among them.
    """

    part: str
    records: tuple[Record, ...]
    notes: tuple[str, ...] = ()


def choose_records(predictor: Predictor, dataset: OpenDataset, split: str | None) -> Choice:
    """The images to score, the model's own parts known again by their pixels.

    Raises:
        DataError: the model was trained on them.
        UsageError: there are none.
    """
    if split == "all":
        return Choice("all", dataset.records)
    part_of = _parts_by_hash(predictor)
    own: dict[str | None, list[Record]] = {part: [] for part in (*PARTS, None)}
    for record in dataset.records:
        own[part_of.get(dataset.facts.images[record.id].pixel_hash)].append(record)
    unknown = own.pop(None)
    notes: tuple[str, ...] = ()
    if any(own.values()):
        part = split or ("test" if own["test"] else "train" if own["train"] else "val")
        origin, records = f"the model's own {part} part", tuple(own[part])
        if unknown:
            notes = (
                f"{counted(len(unknown), 'image')} left out: in no part of the model's own data, where others are; "
                "'--split all' scores every image",
            )
    else:
        has_parts = any(record.split for record in dataset.listing.records)
        part = split or ("test" if has_parts else "all")
        origin, records = f"{part}, unknown to the model", dataset.split(part)
    if records and part == "train" and own["train"]:
        raise DataError(
            f"the model was trained on {len(records)} of the images in {dataset.root}, so their score says nothing "
            "about new ones; name other data, or score everything with '--split all'"
        )
    if not records:
        raise UsageError(f"{dataset.root} holds no image of {origin}; use '--split all', or name data with that part")
    return Choice(origin, records, notes)


def _parts_by_hash(predictor: Predictor) -> dict[str, str]:
    card = predictor.card
    hashes: dict[str, Any] = card.data.get("hashes", {}) if card else {}
    return {image: part for part in reversed(PARTS) for image in hashes.get(part, ())}


def _with_values(classes: ClassMap, values: Mapping[int | Literal["other"], int], ignore: Sequence[int]) -> ClassMap:
    """The model's classes, with further values that stand for them in this data set's masks."""
    unknown = sorted(set(values.values()) - set(classes.ids))
    if unknown:
        raise UsageError(f"--map: the model has no class {unknown[0]}; its ids are {', '.join(map(str, classes.ids))}")
    indices = {value: classes.ids.index(id_) for value, id_ in values.items() if value != "other"}
    other = classes.ids.index(values["other"]) if "other" in values else classes.other
    ignored = dict.fromkeys(ignore, IGNORE_INDEX)
    return dataclasses.replace(classes, values={**classes.values, **indices, **ignored}, other=other)
