"""What is named together on a command line as one predictor: several models, and several views of every image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from segkit.errors import UsageError
from segkit.inference.engines._base import EngineName, ExportedPrecision
from segkit.inference.ensemble import EnsemblePredictor
from segkit.inference.exported import is_exported
from segkit.inference.loading import SUFFIX, load
from segkit.inference.predictor import Predictor
from segkit.inference.views import Views, with_views
from segkit.modelfile import RUN_ENSEMBLE, RUN_MODEL, is_ensemble


def load_together(
    models: Sequence[str | Path],
    device: str = "auto",
    precision: ExportedPrecision | None = None,
    engine: EngineName | Literal["auto"] = "auto",
    tta: Views | None = None,
) -> Predictor:
    """The predictor of a model, or of several whose probabilities are averaged and whose boxes are fused.

    Args:
        models: at least one; each as `load` takes it, as the other arguments are.
        tta: views of every image whose mean is taken, see `with_views`; None: the image as it is.

    Raises:
        UsageError, ModelFileError: as `load` and `with_views`, and where the models do not fit together.
    """
    members = [load(model, device, precision, engine) for model in models]
    if tta is not None:
        members = [with_views(member, tta) for member in members]
    return members[0] if len(members) == 1 else EnsemblePredictor.of(members, "the command")


def split_models(first: str, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The models and the inputs of a command line, whose first word is a model.

    Further models are the words after it that end as a model's file does, or name a run's folder. Raises `UsageError`
    where nothing else is left.
    """
    count = next((place for place, word in enumerate(words) if not _is_model(Path(word))), len(words))
    if count == len(words):
        raise UsageError(
            f"{' '.join([first, *words])}: only models are named; name images, folders or patterns after them"
        )
    return [first, *words[:count]], list(words[count:])


def _is_model(path: Path) -> bool:
    is_file = path.suffix == SUFFIX or is_ensemble(path) or is_exported(path)
    return is_file or any((path / name).is_file() for name in (RUN_MODEL, RUN_ENSEMBLE))
