"""What is done of a prediction, image by image, so that one that was interrupted at any moment can go on. No torch.

A line is added once all results of an image stand under their names, so a line is never true too early. One that was
half written when the process was killed is no line, and its image is predicted again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from segkit._version import __version__
from segkit.data.readers._base import file_on_disk
from segkit.errors import OutputError, UsageError
from segkit.inference.items import single_images
from segkit.inference.jobs import Job
from segkit.inference.predictor import Predictor
from segkit.inference.records import Record
from segkit.inference.shards import Shard
from segkit.ops.files import make_folder, write_atomically

FOLDER = ".predicted"
"""Where the journals lie among the results, one file per part of the work."""

Identity = Mapping[str, str]
"""What results of one folder have in common, by the names that people know."""

Line = Mapping[str, Any]


def identity(predictor: Predictor, options: Iterable[str]) -> Identity:
    """Of results with this model, this arithmetic, and options such as `--overlay`."""
    cards = [one.card for one in getattr(predictor, "members", (predictor,))]
    stated = {
        "cards": [card and card.model_dump(mode="json") for card in cards],
        "pipeline": predictor.pipeline.model_dump(mode="json"),
        "heads": {task: classes.to_dict() for task, classes in predictor.heads.items()},
    }
    model = hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
    engine = predictor.engine.description
    return {"segkit": __version__, "model": model[:12], "engine": engine, "options": " ".join(options) or "none"}


class Journal:
    """The journal of one part of the work, and what all parts have done.

    Args:
        out: the folder of results.
        shard: the part.
        own: what the results have in common.
        resume: whether what is done counts; else everything begins anew.

    Raises:
        UsageError: the folder holds results of another model, engine or of other options.
        OutputError: the journal cannot be written.
    """

    def __init__(self, out: Path, shard: Shard, own: Identity, resume: bool) -> None:
        self._out, folder = out, make_folder(out / FOLDER)
        self._path = folder / f"{shard.label or 'all'}.jsonl"
        if not resume:
            _forget(folder, shard)
        self._known = {line["name"]: line for path in sorted(folder.glob("*.jsonl")) for line in _read(path, out, own)}
        kept = [own, *_read(self._path, out, own)]
        write_atomically(self._path, "".join(map(_text, kept)).encode())

    def find(self, job: Job) -> Record | None:
        """What the tables say of a job that is done: its results stand there, and its files are those of then."""
        line = self._known.get(job.name)
        if line is None or (line["image"], line["stamp"]) != (str(job.file), _stamp(job)):
            return None
        return Record.of(line["record"]) if all((self._out / file).exists() for file in line["files"]) else None

    def add(self, job: Job, record: Record) -> None:
        """A job is done; raises `OutputError` where that cannot be written down."""
        files = [target.relative_to(self._out).as_posix() for target in job.targets if target.exists()]
        line = {"name": job.name, "image": str(job.file), "stamp": _stamp(job), "files": files}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_text({**line, "record": record.plain()}))
        except OSError as error:
            raise OutputError(
                f"cannot write {self._path}: {error.strerror or error}; free space, and go on with '--resume'"
            ) from None


def _forget(folder: Path, shard: Shard) -> None:
    """Remove the journals that the part replaces: of a division into as many parts only its own."""
    for path in folder.glob("*.jsonl"):
        if shard.is_all or path.stem == shard.label or not path.stem.endswith(f"-of-{shard.count}"):
            path.unlink(missing_ok=True)


def _read(path: Path, out: Path, own: Identity) -> Iterator[Line]:
    """The whole lines of a journal after its first, which has to be `own`."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    found = [json.loads(line) for line in lines if _is_whole(line)]
    if not found:
        return
    require_same(found[0], own, out)
    yield from found[1:]


def require_same(theirs: Identity, own: Identity, out: str | Path) -> None:
    """Raise `UsageError` where results in `out` have another identity."""
    differing = [name for name, value in own.items() if theirs.get(name) != value]
    if differing:
        said = " and ".join(f"{name} ({theirs.get(name)}, and now {own[name]})" for name in differing)
        raise UsageError(
            f"{out} holds results with another {said}; go on with the same, name another folder, or leave out "
            "'--resume' to begin anew"
        )


def _is_whole(line: bytes) -> bool:
    """Whether a line is what was written: a lost power supply may leave zeros in its place."""
    return line.startswith(b"{") and line.endswith(b"}")


def _text(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _stamp(job: Job) -> list[list[int]]:
    """By which the files of a job are known; empty where one is missing."""
    try:
        files = dict.fromkeys(file_on_disk(file) for image in single_images([job.item]) for file in image.files)
        stats = [file.stat() for file in files]
    except OSError:
        return []
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]
