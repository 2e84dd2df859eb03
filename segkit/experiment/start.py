"""One run from its settings: begun, or gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from segkit.data.fingerprint import fingerprint
from segkit.data.opening import OpenDataset
from segkit.errors import DataError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import Teller
from segkit.experiment.opening import open_aloud
from segkit.experiment.plan import make_plan
from segkit.experiment.run import Run, environment, new_run, refuse_existing
from segkit.experiment.session import Session
from segkit.inference.engines.torch import resolve_device


def start(config: ExperimentConfig, output: Path | None, started: float, teller: Teller) -> Run:
    """Train as the settings say, from the beginning.

    Args:
        config: the settings.
        output: the run folder, which must not exist; `runs/DATA-NETWORK-N` where None.
        started: `time.monotonic()` from which a budget counts.
        teller: whom to tell.

    Raises:
        UsageError, DataError, OutputError, Interrupted: as `train`.
    """
    if output is not None:
        refuse_existing(output)  # before the data is read, which may take minutes
    device = resolve_device(config.device)
    dataset = open_usable(config, teller)
    plan = make_plan(config, dataset, measure(config, dataset, teller), device)
    session = Session(plan, dataset, device, teller)
    teller.tell(*session.describe())
    run = new_run(output, config.path, "-".join(filter(None, (plan.model.decoder, plan.model.backbone))))
    teller.log_to(run.folder / "log.txt")
    run.write_json("splits.json", dataset.splits())
    run.write_json("fingerprint.json", plan.fingerprint)
    run.write_json("environment.json", environment(str(device), plan.pipeline.precision, run.folder))
    run.write_config(session.config)
    teller.tell(f"run folder {run.folder}")
    return session.run(run, started, resume=False)


def open_usable(config: ExperimentConfig, teller: Teller) -> OpenDataset:
    """The data set as the settings read it; raises `DataError` for its errors."""
    dataset = open_aloud(config.path, config.data, teller, task=config.task, heads=config.heads or ())
    dataset.require_usable()
    return dataset


def measure(config: ExperimentConfig, dataset: OpenDataset, teller: Teller) -> dict[str, Any]:
    """The data set's fingerprint, with the values of the foreground where the normalization needs them."""
    if config.normalization != "ct" or dataset.task != "segment":
        return fingerprint(dataset)
    with teller.progress("measuring", len(dataset.split("train"))) as advance:
        return fingerprint(dataset, foreground=True, progress=advance)


def resume(run: Run, started: float, teller: Teller) -> Run:
    """Go on with a run from its last checkpoint; args and errors as of `start`."""
    teller.log_to(run.folder / "log.txt")
    config = run.config
    device = resolve_device(config.device)
    dataset = open_usable(config, teller)
    plan = make_plan(config, dataset, measure(config, dataset, teller), device)
    if plan.fingerprint != run.read_json("fingerprint.json") or dataset.splits() != run.read_json("splits.json"):
        raise DataError(
            f"{config.path} has changed since {run.folder} began; a resumed run needs the same files: start a new run"
        )
    teller.tell(f"going on with {run.folder}")
    session = Session(plan, dataset, device, teller, fresh=not run.checkpoint.exists())
    return session.run(run, started, resume=True)
