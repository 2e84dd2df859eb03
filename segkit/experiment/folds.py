"""Cross-validation: one run per fold, one table of all validation images, and the networks together as one model."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.data.folds import Folds, cut_folds
from segkit.data.opening import open_dataset
from segkit.errors import UsageError
from segkit.evaluation.evaluate import evaluate_folds
from segkit.evaluation.result import IMAGE_SCORE, Evaluation
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import Teller
from segkit.experiment.devices import choose_device
from segkit.experiment.evaluate import write_evaluations
from segkit.experiment.plan import make_plan
from segkit.experiment.run import CONFIG, SPLITS, Run, environment, new_run, refuse_existing
from segkit.experiment.scores import describe_scores
from segkit.experiment.session import Session
from segkit.experiment.start import measure, open_usable, resume, start
from segkit.inference.loading import load
from segkit.modelfile import RUN_ENSEMBLE, save_ensemble
from segkit.ops.files import make_folder
from segkit.ops.words import counted
from segkit.report import write_report

RULE = (
    "each image was predicted by the network that was not trained on it; as the epoch of each network was chosen by "
    "these images, the score is a little better than on new ones"
)


def start_folds(config: ExperimentConfig, output: Path | None, only: int | None, teller: Teller) -> Run:
    """Cut the folds and train them one after the other.

    Args:
        config: the settings, `folds` among them.
        output: the run folder, which must not exist; `runs/DATA-NETWORK-N` where None.
        only: the fold to train, from 0; all where None.
        teller: whom to tell.

    Raises:
        UsageError: a wrong setting, or fewer units than folds; nothing has been written then.
        DataError: a data set with errors, in any of the folds.
        OutputError: the run folder cannot be written.
        Interrupted: Ctrl-C or SIGTERM, after saving.
    """
    assert config.folds is not None
    _require_fold(only, config.folds)
    if output is not None:
        refuse_existing(output)
    with teller.progress("reading") as advance:
        folds = cut_folds(
            open_dataset(config.path, config.data, progress=advance, task=config.task, heads=config.heads or ()),
            config.folds,
        )
    network, machine = _rehearse(config, folds)
    run = new_run(output, config.path, network)
    teller.log_to(run.folder / "log.txt")
    make_folder(run.folder / SPLITS)
    for number, parts in enumerate(folds.parts):
        run.write_json(_split_name(number), parts)
    run.write_json("environment.json", environment(*machine, run.folder))
    run.write_config(config.from_anywhere(), asked_for=True)  # a plan is made of it for each fold
    teller.tell(
        folds.origin, f"run folder {run.folder}; what ends it goes on with: segkit train --resume -o {run.folder}"
    )
    return _go_on(run, only, teller)


def resume_folds(run: Run, only: int | None, teller: Teller) -> Run:
    """Train what is missing of the folds of a run; args and errors as of `start_folds`."""
    _require_fold(only, run.config.folds or 0)
    teller.log_to(run.folder / "log.txt")
    return _go_on(run, only, teller)


def _require_fold(only: int | None, count: int) -> None:
    if only is not None and only not in range(count):
        raise UsageError(f"--fold {only}: there are {count} folds, 0 to {count - 1}")


def _rehearse(config: ExperimentConfig, folds: Folds) -> tuple[str, tuple[str, str]]:
    """Open every fold and build the network of the first, so that nothing is refused after hours of training.

    Returns the network's name, and device and precision.
    """
    nobody, device = Teller(quiet=True), choose_device(config)
    with tempfile.TemporaryDirectory(prefix="segkit-folds-") as folder:
        scratch = Run(folder)
        make_folder(scratch.folder / SPLITS)
        datasets = []
        for number, parts in enumerate(folds.parts):
            scratch.write_json(_split_name(number), parts)
            datasets.append(open_usable(_of_fold(config, scratch, number), nobody))
        first = _of_fold(config, scratch, 0)
        plan = make_plan(first, datasets[0], measure(first, datasets[0], nobody), device)
        Session(plan, datasets[0], device, nobody)
    name = "-".join(filter(None, (plan.model.decoder, plan.model.backbone)))
    return name, (str(device), plan.pipeline.precision)


def _split_name(fold: int) -> str:
    return f"{SPLITS}/fold-{fold}.json"


def _of_fold(config: ExperimentConfig, run: Run, fold: int) -> ExperimentConfig:
    """The settings of one fold, which is a run like any other."""
    data = config.data.model_copy(update={"split": run.folder / _split_name(fold), "stratify": None})
    return config.model_copy(update={"folds": None, "data": data})


def _runs(run: Run) -> list[Run]:
    return [Run(run.folder / f"fold-{fold}") for fold in range(run.config.folds or 0)]


def _is_done(fold: Run) -> bool:
    """Whether a fold has come to its end, where the report is written."""
    return fold.report.exists() and fold.model_file.exists()


def _go_on(run: Run, only: int | None, teller: Teller) -> Run:
    folds = _runs(run)
    for number, fold in enumerate(folds):
        if only in (None, number) and not _is_done(fold):
            teller.tell(f"fold {number} of 0 to {len(folds) - 1}: {fold.folder}")
            _train(run, number, fold, Teller(teller.quiet))
    missing = [str(number) for number, fold in enumerate(folds) if not _is_done(fold)]
    if missing:
        still = "fold" if len(missing) == 1 else "folds"
        teller.tell(f"still to train: {still} {', '.join(missing)}; segkit train --resume -o {run.folder}")
    else:
        _join(run, folds, teller)
    return run


def _train(run: Run, number: int, fold: Run, teller: Teller) -> None:
    """Begin a fold, or go on with it; a budget counts anew for each."""
    if (fold.folder / CONFIG).exists():
        resume(fold, time.monotonic(), teller)
        return
    if fold.folder.exists():
        shutil.rmtree(fold.folder)  # ended before its settings were written, which make it a run to go on with
    start(_of_fold(run.config, run, number), fold.folder, time.monotonic(), teller)


def _join(run: Run, folds: Sequence[Run], teller: Teller) -> None:
    """Score the validation images of all folds together, list the networks as one model, write the report."""
    save_ensemble(run.folder / RUN_ENSEMBLE, [fold.model_file for fold in folds])
    config = _of_fold(run.config, run, 0)
    dataset = open_dataset(config.path, config.data, task=config.task, heads=config.heads or ())
    records = {record.id: record for record in dataset.records}
    validation = [[records[id_] for id_ in run.read_json(_split_name(n))["val"]] for n in range(len(folds))]
    predictors = [load(fold.model_file, device=config.device) for fold in folds]
    with teller.progress("evaluating", sum(map(len, validation))) as advance:
        found = evaluate_folds(predictors, validation, dataset.heads, progress=advance)
    part = f"the validation images of {len(folds)} folds"
    evaluated = {
        "model": str((run.folder / RUN_ENSEMBLE).resolve()),
        "data": str(dataset.root.resolve()),
        "part": f"{part}, {RULE}",
        "engine": predictors[0].engine.description,
        "allowed": list(config.data.allow),
    }
    evaluation = found[dataset.task]
    scores = [_score_of(evaluation, fold) for fold in validation]
    evaluation = evaluation.with_scores(
        {"evaluated": evaluated, "folds": {"count": len(folds), "image_scores": scores, "rule": RULE}}
    )
    write_evaluations({**found, dataset.task: evaluation}, run.folder / "evaluation")
    write_report(run.folder)
    listed = ", ".join("not counted" if score is None else f"{score:.3f}" for score in scores)
    kept = run.read_json(_split_name(0))["test"]
    teller.tell(
        f"{part} together ({RULE}):",
        *describe_scores(evaluation),
        f"mean over the images of each fold: {listed}",
        f"one model of all {len(folds)} networks: {run.folder}"
        + (
            f"; segkit evaluate {run.folder} {config.path} scores it on {counted(len(kept), 'test image')}"
            if kept
            else ""
        ),
        f"report {run.report}",
    )


def _score_of(evaluation: Evaluation, fold: Sequence[Any]) -> float | None:
    """Mean over a fold's images of their Dice, or of whether they are right; None where none counts."""
    ids = {record.id for record in fold}
    column = IMAGE_SCORE[evaluation.task]
    rows: list[Mapping[str, Any]] = [row for row in evaluation.per_image if row["image"] in ids]
    values = [row[column] for row in rows if row[column] is not None]
    return sum(values) / len(values) if values else None
