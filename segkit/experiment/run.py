"""A run: one training with its folder."""

from __future__ import annotations

import json
import platform
import re
import shlex
import sys
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from segkit.errors import OutputError, SegkitError, UsageError
from segkit.experiment.config import ExperimentConfig
from segkit.modelfile import RUN_ENSEMBLE, RUN_MODEL
from segkit.ops.files import write_atomically

RUNS = Path("runs")
CONFIG = "config.yaml"
SPLITS = "splits"
"""Folder of a cross-validation with the parts of each fold, under the name of the fold's folder."""
_PACKAGES = (
    "torch",
    "torchvision",
    "lightning",
    "segmentation-models-pytorch",
    "albumentations",
    "opencv-python-headless",
    "numpy",
)


class Run:
    """What a training left behind: `runs/NAME/` with its model file, scores, log and report."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @property
    def model_file(self) -> Path:
        """The best model by validation score; of a run of several folds the list of their models."""
        ensemble = self.folder / RUN_ENSEMBLE
        return ensemble if ensemble.exists() else self.folder / RUN_MODEL

    @property
    def checkpoint(self) -> Path:
        """The state from which the run can go on."""
        return self.folder / "checkpoints" / "last.ckpt"

    @property
    def report(self) -> Path:
        """The self-contained page about the run."""
        return self.folder / "report.html"

    @property
    def config(self) -> ExperimentConfig:
        """The settings as resolved by the plan; of several folds as asked for, as each has a plan of its own."""
        config, folder = ExperimentConfig.from_yaml(self.folder / CONFIG), self.folder.resolve()
        split, own = config.data.split, folder.parent / SPLITS / f"{folder.name}.json"
        if not isinstance(split, Path) or split.parts[-2:] != own.parts[-2:] or not own.exists():
            return config
        # A fold's parts stand beside it, wherever the folder of all folds was moved to.
        return config.model_copy(update={"data": config.data.model_copy(update={"split": own})})

    @cached_property
    def scores(self) -> dict[str, Any]:
        """Scores on the test part, empty when the data set has none; of several folds on their validation images."""
        file = self.folder / "evaluation" / "metrics.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def write_json(self, name: str, content: Any) -> None:
        """Write one of the run's JSON files; raises `OutputError`."""
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_atomically(self.folder / name, text.encode("utf-8"))

    def write_config(self, config: ExperimentConfig, *, asked_for: bool = False) -> None:
        """Write `config.yaml`, which makes the folder a run to resume: last and whole; raises `OutputError`.

        `asked_for`: only what was set, so that what a plan is to decide is still open when the file is read.
        """
        values = config.model_dump(mode="json", exclude_unset=asked_for)
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        write_atomically(self.folder / CONFIG, text.encode("utf-8"))

    def read_json(self, name: str) -> Any:
        """Read one of the run's JSON files; raises `SegkitError` when it is missing or damaged."""
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            raise SegkitError(f"cannot read {self.folder / name}: {reason}; start a new run") from None

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"


def new_run(folder: Path | None, data: Path, network: str) -> Run:
    """A run in a new folder: `folder`, or `runs/DATA-NETWORK-N` with the next free N.

    Raises `UsageError` when `folder` exists, `OutputError` when it cannot be made.
    """
    if folder is not None:
        refuse_existing(folder)
        return _create(folder)
    stem = re.sub(r"[^A-Za-z0-9._]+", "-", f"{data.resolve().stem}-{network}")
    taken = [
        int(found.name.rsplit("-", 1)[1]) for found in RUNS.glob(f"{stem}-*") if found.name.rsplit("-", 1)[1].isdigit()
    ]
    return _create(RUNS / f"{stem}-{max(taken, default=0) + 1}")


def refuse_existing(folder: Path) -> None:
    """Raise `UsageError` when `folder` exists, with the way to go on where it is a run."""
    if folder.exists():
        begun = (folder / CONFIG).exists()
        hint = f", or go on with that run: segkit train --resume -o {folder}" if begun else ""
        raise UsageError(f"{folder} exists; name another folder with -o{hint}")


def _create(folder: Path) -> Run:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise OutputError(f"cannot create {folder}: {error.strerror}; name a folder you may write to with -o") from None
    return Run(folder)


def environment(device: str, precision: str, folder: Path) -> dict[str, Any]:
    """What a figure depends on besides data and settings.

    Args:
        device: where the run computes.
        precision: its arithmetic.
        folder: the run's; its `config.yaml` has nothing left open, so `command` repeats the run whatever was typed.
    """
    import torch

    from_terminal = Path(sys.argv[0]).stem in {"segkit", "__main__"}
    return {
        "command": shlex.join(["segkit", "train", "--config", str((folder / CONFIG).resolve())]),
        "typed": shlex.join(["segkit", *sys.argv[1:]]) if from_terminal else None,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": device,
        "accelerator": torch.cuda.get_device_name(torch.device(device)) if device.startswith("cuda") else None,
        "precision": precision,
        "packages": package_versions(),
    }


def package_versions() -> dict[str, str]:
    """Versions of segkit and of the packages its results depend on."""
    from segkit._version import __version__

    return {"segkit": __version__} | {name: metadata.version(name) for name in _PACKAGES}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        if found:
            return found[1]
    return platform.processor() or platform.machine()
