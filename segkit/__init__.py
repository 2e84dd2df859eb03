"""segkit: from a folder of images to masks you can trust, on the machine you have.

    import segkit

    run = segkit.train("DATA", epochs=50)                 # a Run: folder, model_file, scores
    result = segkit.load(run.folder).predict("image.png")  # result.mask: (H, W) class ids
    scores = segkit.evaluate(run.folder, "DATA", split="test").scores

Names are imported on first use (PEP 562), so `import segkit` costs nothing.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from segkit._version import __version__

# torch's threads wait for each other after every operation, by default at full speed, which keeps the slowest of them
# from running where another program is busy too (benchmarks/busy_neighbour.py). torch reads this when it is first
# imported, so it stands here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from segkit.data.opening import OpenDataset, open_dataset
    from segkit.errors import SegkitError
    from segkit.evaluation.compare import compare
    from segkit.evaluation.evaluate import Evaluation
    from segkit.experiment.convert import convert
    from segkit.experiment.evaluate import evaluate
    from segkit.experiment.export import export_model
    from segkit.experiment.run import Run
    from segkit.experiment.train import train
    from segkit.inference.loading import load
    from segkit.inference.predictor import Predictor
    from segkit.inference.results import (
        ClassificationResult,
        CombinedResult,
        DetectionResult,
        InstanceResult,
        SegmentationResult,
    )
    from segkit.models.factory import create_model
    from segkit.structures import ClassMap

__all__ = [
    "ClassMap",
    "ClassificationResult",
    "CombinedResult",
    "DetectionResult",
    "Evaluation",
    "InstanceResult",
    "OpenDataset",
    "Predictor",
    "Run",
    "SegkitError",
    "SegmentationResult",
    "__version__",
    "compare",
    "convert",
    "create_model",
    "evaluate",
    "export_model",
    "load",
    "open_dataset",
    "train",
]

_HOMES = {
    "ClassMap": "segkit.structures",
    "ClassificationResult": "segkit.inference.results",
    "CombinedResult": "segkit.inference.results",
    "DetectionResult": "segkit.inference.results",
    "Evaluation": "segkit.evaluation.evaluate",
    "InstanceResult": "segkit.inference.results",
    "OpenDataset": "segkit.data.opening",
    "Predictor": "segkit.inference.predictor",
    "Run": "segkit.experiment.run",
    "SegkitError": "segkit.errors",
    "SegmentationResult": "segkit.inference.results",
    "compare": "segkit.evaluation.compare",
    "convert": "segkit.experiment.convert",
    "create_model": "segkit.models.factory",
    "evaluate": "segkit.experiment.evaluate",
    "export_model": "segkit.experiment.export",
    "load": "segkit.inference.loading",
    "open_dataset": "segkit.data.opening",
    "train": "segkit.experiment.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'segkit' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
