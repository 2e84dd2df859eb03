"""`train`: settings become a plan, the plan becomes a run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from segkit.config import read_yaml
from segkit.data.fingerprint import fingerprint as measure
from segkit.data.opening import OpenDataset, describe_finding, open_dataset
from segkit.errors import DataError, UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import Teller
from segkit.experiment.duration import parse_duration
from segkit.experiment.plan import make_plan
from segkit.experiment.run import Run, environment, new_run, refuse_existing
from segkit.experiment.session import Session
from segkit.inference.engines.torch import resolve_device
from segkit.models.config import Option


def train(
    data: str | Path | None = None,
    *,
    task: Literal["segment", "classify"] | None = None,
    output: str | Path | None = None,
    config: str | Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    device: str | None = None,
    quiet: bool = False,
    backbone: str | None = None,
    decoder: str | None = None,
    upsample: str | None = None,
    weights: str | None = None,
    backbone_options: Mapping[str, Option] | None = None,
    decoder_options: Mapping[str, Option] | None = None,
    epochs: int | None = None,
    budget: str | None = None,
    batch_size: int | None = None,
    accumulate: int | None = None,
    crop: int | None = None,
    augment: str | None = None,
    learning_rate: float | None = None,
    loss: str | None = None,
    class_weights: Literal["balanced"] | Sequence[float] | None = None,
    patience: int | None = None,
    precision: Literal["auto", "fp32", "bf16"] | None = None,
    workers: int | None = None,
    format: str | None = None,  # noqa: A002, the word of the command line
    classes: Path | Sequence[str] | None = None,
    map: Mapping[int | Literal["other"], int] | None = None,  # noqa: A002
    ignore: Sequence[int] | None = None,
    background: int | Literal["none"] | None = None,
    channels: Literal["gray", "rgb"] | None = None,
    allow: Sequence[str] | None = None,
    split: str | Path | tuple[float, float, float] | None = None,
    group_by: str | None = None,
) -> Run:
    """Train a network on a data set and return its run; `segkit train --help` describes every argument.

    The data set is checked, a plan is printed, the best model by validation score is kept, the test part is scored
    and the report written. Arguments override the YAML file in `config`; what neither says, the plan decides.

    Raises:
        UsageError: a wrong argument; nothing has been written then.
        DataError: a data set with errors; the message lists them.
    """
    started = time.monotonic()
    given = {
        "path": data,
        "task": task,
        "device": device,
        "data": {
            "format": format, "classes": classes, "map": map, "ignore": ignore, "background": background,
            "channels": channels, "allow": allow, "split": split, "group_by": group_by,
            "seed": seed,
        },
        "model": {
            "backbone": backbone, "decoder": decoder, "weights": weights, "backbone_options": backbone_options,
            "decoder_options": {**(decoder_options or {}), **({"upsample": upsample} if upsample else {})},
        },
        "sampling": {"crop": crop, "augment": augment},
        "training": {
            "epochs": epochs, "budget_seconds": parse_duration(budget) if budget else None, "batch_size": batch_size,
            "accumulate": accumulate, "learning_rate": learning_rate, "loss": loss, "class_weights": class_weights,
            "patience": patience, "precision": precision, "workers": workers, "seed": seed,
        },
    }  # fmt: skip
    if resume:
        if config or _merge({}, given):
            raise UsageError(
                "--resume goes on with a run as it began: give -o RUN and no data or settings; "
                "for others start a new run without --resume"
            )
        return _resume(output, started, Teller(quiet))
    if epochs is not None and budget is not None:
        raise UsageError(f"--epochs {epochs} and --budget {budget} both end the run; give one of them")
    settings = _merge(_without_end(read_yaml(config), epochs or budget) if config else {}, given)
    if "path" not in settings:
        raise UsageError("name the data set to train on: segkit train DATA, or 'path:' in the configuration")
    source = f"{config} and options" if config else "options"
    return _start(
        ExperimentConfig.parse(settings, source=source), Path(output) if output else None, started, Teller(quiet)
    )


def _without_end(base: dict[str, Any], given: int | str | None) -> dict[str, Any]:
    """The settings of a file, their end of the run left to the one `given`: epochs override a budget and vice versa."""
    training = base.get("training")
    if given is None or not isinstance(training, Mapping):
        return base
    kept = {key: value for key, value in training.items() if key not in ("epochs", "budget_seconds")}
    return {**base, "training": kept}


def _merge(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with everything in `given` that is not None or empty, group by group."""
    merged = dict(base)
    for key, value in given.items():
        below = base.get(key) or {}
        if isinstance(value, Mapping):
            if not isinstance(below, Mapping):
                continue  # the file is wrong there, which is said when all of it is read
            value = _merge(below, value)
        if value is not None and value != {}:
            merged[key] = value
    return merged


def _start(config: ExperimentConfig, output: Path | None, started: float, teller: Teller) -> Run:
    if output is not None:
        refuse_existing(output)  # before the data is read, which may take minutes
    device = resolve_device(config.device)
    dataset = _open(config, teller)
    plan = make_plan(config, dataset, measure(dataset), device)
    session = Session(plan, dataset, device, teller)
    teller.tell(*session.describe())
    run = new_run(output, config.path, "-".join(filter(None, (plan.model.decoder, plan.model.backbone))))
    teller.log_to(run.folder / "log.txt")
    run.write_json("splits.json", dataset.splits())
    run.write_json("fingerprint.json", plan.fingerprint)
    run.write_json("environment.json", environment(str(device), plan.pipeline.precision))
    run.write_config(session.config)
    teller.tell(f"run folder {run.folder}")
    return session.run(run, started, resume=False)


def _resume(output: str | Path | None, started: float, teller: Teller) -> Run:
    if output is None:
        raise UsageError("--resume goes on with a run: name its folder with -o")
    run = Run(output)
    if not (run.folder / "config.yaml").exists():
        raise UsageError(
            f"{run.folder} is no run folder: it has no config.yaml; name the folder of the run to go on with"
        )
    teller.log_to(run.folder / "log.txt")
    config = run.config
    device = resolve_device(config.device)
    dataset = _open(config, teller)
    plan = make_plan(config, dataset, measure(dataset), device)
    if plan.fingerprint != run.read_json("fingerprint.json") or dataset.splits() != run.read_json("splits.json"):
        raise DataError(
            f"{config.path} has changed since {run.folder} began; a resumed run needs the same files: start a new run"
        )
    teller.tell(f"going on with {run.folder}")
    session = Session(plan, dataset, device, teller, fresh=not run.checkpoint.exists())
    return session.run(run, started, resume=True)


def _open(config: ExperimentConfig, teller: Teller) -> OpenDataset:
    with teller.progress("reading") as advance:
        dataset = open_dataset(config.path, config.data, progress=advance)
    teller.tell(*dataset.describe())
    teller.tell(*(describe_finding(found) for found in dataset.findings if found not in dataset.errors))
    dataset.require_usable()
    return dataset
