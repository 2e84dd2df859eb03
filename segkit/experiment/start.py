"""One run from its settings: begun, or gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segkit.data.fingerprint import fingerprint
from segkit.data.opening import OpenDataset
from segkit.errors import DataError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.console import Teller
from segkit.experiment.devices import choose_device
from segkit.experiment.opening import open_aloud
from segkit.experiment.plan import make_plan
from segkit.experiment.run import Run, environment, new_run, refuse_existing
from segkit.experiment.session import Session
from segkit.training.processes import Processes, joined, outer_environment


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
    with _processes(config) as processes:
        if not processes.is_first:
            return join(Run(processes.of_first(None)), processes, started, Teller(quiet=True))
        if output is not None:
            refuse_existing(output)  # before the data is read, which may take minutes
        device = choose_device(config, processes.rank)
        dataset = open_usable(config, teller)
        plan = make_plan(config, dataset, measure(config, dataset, teller), device)
        session = Session(plan, dataset, device, teller, processes=processes)
        teller.tell(*session.describe())
        run = _begin(output, session)
        processes.of_first(str(run.folder.resolve()))
        return session.run(run, started, resume=False)


def _begin(output: Path | None, session: Session) -> Run:
    """The folder of a new run, with all that others need to join it and to go on with it."""
    plan, dataset, teller = session.plan, session.dataset, session.teller
    run = new_run(output, plan.config.path, "-".join(filter(None, (plan.model.decoder, plan.model.backbone))))
    teller.log_to(run.folder / "log.txt")
    run.write_json("splits.json", dataset.splits())
    run.write_json("fingerprint.json", plan.fingerprint)
    run.write_json("environment.json", environment(str(session.device), plan.pipeline.precision, run.folder))
    run.write_config(session.config)
    teller.tell(f"run folder {run.folder}")
    return run


@contextmanager
def _processes(config: ExperimentConfig) -> Iterator[Processes]:
    """Those that torchrun or srun started with this one; alone where they did not."""
    outer = outer_environment(config.devices, config.nodes)
    if outer is None:
        yield Processes()
    else:
        with joined(outer, config.nodes, choose_device(config).type) as processes:
            yield processes


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


def resume(run: Run, started: float, teller: Teller, devices: int | None = None, nodes: int | None = None) -> Run:
    """Go on with a run from its last checkpoint, on as many devices as before where None; errors as of `start`."""
    changed = {name: value for name, value in (("devices", devices), ("nodes", nodes)) if value is not None}
    config = run.config.model_copy(update=changed)
    with _processes(config) as processes:
        if processes.is_first:
            teller.log_to(run.folder / "log.txt")
        else:
            teller = Teller(quiet=True)
        session = _rebuild(run, config, processes, teller)
        if processes.is_first:
            run.write_config(session.config)
        teller.tell(f"going on with {run.folder}")
        return session.run(run, started, resume=True)


def join(run: Run, processes: Processes, started: float, teller: Teller) -> Run:
    """Train as one of the processes of a run that has its settings; what follows the training is not its part."""
    session = _rebuild(run, run.config, processes, Teller(quiet=True))
    session.teller = teller
    if processes.is_first:
        teller.log_to(run.folder / "log.txt")
    session.fit(run, started, resume=True)
    return run


def _rebuild(run: Run, config: ExperimentConfig, processes: Processes, teller: Teller) -> Session:
    """The session of a run as it began; raises `DataError` when the data has changed since."""
    device = choose_device(config, processes.rank)
    dataset = open_usable(config, teller)
    plan = make_plan(config, dataset, measure(config, dataset, teller), device)
    if plan.fingerprint != run.read_json("fingerprint.json") or dataset.splits() != run.read_json("splits.json"):
        raise DataError(
            f"{config.path} has changed since {run.folder} began; a resumed run needs the same files: start a new run"
        )
    return Session(plan, dataset, device, teller, fresh=not run.checkpoint.exists(), processes=processes)
