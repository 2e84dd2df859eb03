"""`export_model`: a model as a file for other engines, written once it gives the results that the model gives."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from segkit._version import __version__
from segkit.errors import SegkitError, UsageError
from segkit.experiment.console import Teller
from segkit.experiment.export_images import calibration_batches, noise, open_images
from segkit.export.formats import FILES, PACKAGES, ExportedFile
from segkit.export.graph import output_names
from segkit.export.limits import refuse_unsupported
from segkit.export.parity import Shown, compare, describe
from segkit.export.program import open_program
from segkit.inference.engines._base import EngineName, ExportedPrecision, is_installed, require_package
from segkit.inference.engines.torch import TorchEngine
from segkit.inference.exported import (
    CARD,
    FACTS,
    SUFFIXES,
    ExportFacts,
    Format,
    Parity,
    is_exported,
    read_exported,
    seal,
)
from segkit.inference.loading import find_model_file, load
from segkit.inference.predictor import Predictor
from segkit.inference.runtime import ENGINES, open_exported
from segkit.modelfile import is_ensemble
from segkit.models.model import Model
from segkit.ops.files import write_atomically


def export_model(
    model: str | Path,
    out: str | Path | None = None,
    *,
    format: Format | None = None,  # noqa: A002, the word of the command line
    precision: ExportedPrecision = "fp32",
    check_on: str | Path | None = None,
    allow_loss: bool = False,
    quiet: bool = False,
) -> Path:
    """Write a model as a file for other engines, with its classes and its pipeline.

    Images go the whole way through the model and through the file, and the file is written only where the results are
    the same within the tolerance of the precision. What was compared stands in the file.

    Args:
        model: model file, run folder or name.
        out: the file to write; beside the model file where None.
        format: `onnx`, `openvino` or `torch`; where None what `out` ends in says it, else `onnx`.
        precision: of the exported network.
        check_on: a data set whose images are compared, and whose training images int8 is calibrated on; noise where
            None.
        allow_loss: whether to write the file where more changed than the tolerance.
        quiet: print nothing.

    Returns:
        The file.

    Raises:
        UsageError: a wrong argument, a missing package, or a network that the format cannot hold.
        SegkitError: the results differ; nothing has been written.
    """
    path = find_model_file(model)
    if is_exported(path) or is_ensemble(path):
        what = "was exported already" if is_exported(path) else "lists several models"
        raise UsageError(f"{path} {what}; name a single *.safetensors file, or its run folder")
    kind = format or _format_of(out)
    target = _target(path, out, kind)
    teller = Teller(quiet)
    before = load(path, device="cpu", precision="fp32")
    network = _network_of(before)
    refuse_unsupported(network.config, kind, precision)
    for package in PACKAGES[kind]:
        require_package(package, f"'--format {kind}'")
    shown, calibration = noise(before.pipeline), []
    if precision == "int8":
        require_package("nncf", "'--int8'")
    if check_on is not None:
        dataset, shown = open_images(before, check_on, teller)
        calibration = calibration_batches(before, dataset, shown, teller) if precision == "int8" else []
    elif precision == "int8":
        raise UsageError("int8 is calibrated on training images; name the data they are in with '--check-on DATA'")
    teller.tell(f"exporting {path} as {kind} in {precision}")
    file = FILES[kind](network, precision, calibration)
    facts = ExportFacts(
        format=kind,
        precision=precision,
        outputs=output_names(network),
        opset=file.opset,
        packages=_versions(kind),
    )
    parities = _compared(before, file, facts, shown, teller)
    if not (allow_loss or parities[0].passed):
        raise SegkitError(
            f"{target} was not written: the export gives other results than {path}, see the table above; take a higher "
            "precision, or keep it with '--allow-loss'"
        )
    _write(target, *_sealed(before, file, facts.model_copy(update={"parity": parities})))
    teller.tell(f"written: {target}")
    return target


def _format_of(out: str | Path | None) -> Format:
    """The format that a file's name ends in; ONNX where there is none."""
    if out is None:
        return "onnx"
    found = next((kind for kind, suffix in SUFFIXES.items() if suffix == Path(out).suffix.lower()), None)
    if found is None:
        raise UsageError(f"{out} has to end in {', '.join(SUFFIXES.values())}, or give the format with '--format'")
    return found


def _target(path: Path, out: str | Path | None, kind: Format) -> Path:
    """The file to write; raises `UsageError` where its name is of another format or no export's."""
    target = path.with_suffix(SUFFIXES[kind]) if out is None else Path(out)
    if target.suffix.lower() != SUFFIXES[kind]:
        raise UsageError(f"{target}: a file of '--format {kind}' ends in {SUFFIXES[kind]}")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}; make it, or name another")
    if target.exists() and (target.is_dir() or FACTS.encode() not in target.read_bytes()):
        raise UsageError(f"{target} exists and is no export of segkit; name another file")
    return target


def _network_of(predictor: Predictor) -> Model:
    engine = predictor.engine
    assert isinstance(engine, TorchEngine)  # what a model file is computed by
    assert isinstance(engine.model, Model)
    return engine.model


def _versions(kind: Format) -> dict[str, str]:
    return {"segkit": __version__, **{package: version(package) for package in ("torch", *PACKAGES[kind])}}


def _compared(
    before: Predictor, file: ExportedFile, facts: ExportFacts, shown: Shown, teller: Teller
) -> tuple[Parity, ...]:
    """The export compared once for every engine that is installed, first what the format is of, and told."""
    parities = []
    for engine, after in _opened(before, file, facts):
        with teller.progress(f"comparing {engine}", len(shown)) as advance:
            parity = compare(before, after, shown, engine, facts.precision, advance)
        teller.tell(*describe(parity, facts.precision))
        parities.append(parity)
    return tuple(parities)


def _opened(before: Predictor, file: ExportedFile, facts: ExportFacts) -> Iterator[tuple[EngineName, Predictor]]:
    """The export as it is when it is loaded from disk, by every engine that is installed."""
    content, weights = _sealed(before, file, facts)
    if facts.format == "torch":
        yield "torch", Predictor(open_program(content), before.pipeline, before.heads)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{SUFFIXES[facts.format]}"
        _write(path, content, weights)
        exported = read_exported(path)
        for engine in filter(is_installed, ENGINES[facts.format]):
            yield engine, open_exported(exported, facts.precision, engine)


def _sealed(before: Predictor, file: ExportedFile, facts: ExportFacts) -> tuple[bytes, bytes]:
    """The bytes of the file, and of its weights where they stand beside it, with everything it says of itself."""
    assert before.card is not None
    metadata: Mapping[str, str] = {CARD: before.card.model_dump_json(), FACTS: facts.model_dump_json()}
    content, weights = file.write(metadata)
    return seal(content, weights), weights


def _write(path: Path, content: bytes, weights: bytes) -> None:
    """Write the weights first: a file is whole, and found by its name, when those it needs are there."""
    if weights:
        write_atomically(path.with_suffix(".bin"), weights)
    write_atomically(path, content)
