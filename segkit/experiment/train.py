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
from segkit.experiment.run import Run, environment, new_run
from segkit.experiment.session import Session
from segkit.inference.engines.torch import resolve_device
from segkit.models.config import Option
from segkit.models.weights import load_weights


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
    if resume:
        return _resume(output, started, Teller(quiet))
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
    settings = _merge(read_yaml(config) if config else {}, given)
    if "path" not in settings:
        raise UsageError("name the data set to train on: segkit train DATA, or 'path:' in the configuration")
    return _start(
        ExperimentConfig.parse(settings, source="settings"), Path(output) if output else None, started, Teller(quiet)
    )


def _merge(base: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with everything in `given` that is not None or empty, group by group."""
    merged = dict(base)
    for key, value in given.items():
        if isinstance(value, Mapping):
            value = _merge(base.get(key) or {}, value)
        if value is not None and value != {}:
            merged[key] = value
    return merged


def _start(config: ExperimentConfig, output: Path | None, started: float, teller: Teller) -> Run:
    device = resolve_device(config.device)
    dataset = _open(config, teller)
    plan = make_plan(config, dataset, measure(dataset), device)
    session = Session(plan, dataset, device, teller)
    weights = plan.config.model.weights
    if weights != "none":
        teller.tell(load_weights(session.model, weights).describe())
    teller.tell(*session.describe())
    run = new_run(output, config.path, "-".join(filter(None, (plan.model.decoder, plan.model.backbone))))
    teller.log_to(run.folder / "log.txt")
    plan.config.to_yaml(run.folder / "config.yaml")
    run.write_json("splits.json", dataset.splits())
    run.write_json("fingerprint.json", plan.fingerprint)
    run.write_json("environment.json", environment(str(device), plan.pipeline.precision))
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
    return Session(plan, dataset, device, teller).run(run, started, resume=run.checkpoint.exists())


def _open(config: ExperimentConfig, teller: Teller) -> OpenDataset:
    with teller.progress("reading") as advance:
        dataset = open_dataset(config.path, config.data, progress=advance)
    teller.tell(*dataset.describe())
    teller.tell(*(describe_finding(found) for found in dataset.findings if found not in dataset.errors))
    dataset.require_usable()
    return dataset
