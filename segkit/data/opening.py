"""The front door of `segkit.data`: from a folder to a checked data set with classes and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from segkit.data.about import target_file
from segkit.data.check import check_classes, check_not_empty, check_set
from segkit.data.check_files import check_files
from segkit.data.config import DataConfig
from segkit.data.findings import Finding, Severity, shown
from segkit.data.formats._base import Listing, list_records
from segkit.data.heads import Head, joint_presence, with_names
from segkit.data.joining import join
from segkit.data.rules import RULES, apply_allowed
from segkit.data.scan import Facts, scan
from segkit.data.split import Split, group_records, split_records, strata
from segkit.errors import DataError, UsageError, nearest
from segkit.ops.words import counted
from segkit.structures import PARTS, TASKS, ClassMap, Progress, Record, TaskName

SHOWN_FILES = 5


@dataclass(frozen=True)
class OpenDataset:
    """A data set whose every file was read once: what it holds, what it means, what is wrong with it.

    Attributes:
        root: the folder or table the user named.
        listing: what was found by name; of several heads all images, as the main head lists them.
        config: how it was to be read.
        facts: what the scan measured, by record id.
        classes: what the masks' values, or the labels, mean.
        findings: every problem, errors first.
        task: what the targets are for.
        records: the usable images, groups and splits filled in.
        split_origin: where the splits come from, said aloud.
        notes: rules found while reading that the user should know.
        further: of several heads those beside the main one, each with its classes.
    """

    root: Path
    listing: Listing
    config: DataConfig
    facts: Facts
    classes: ClassMap
    findings: tuple[Finding, ...]
    task: TaskName
    records: tuple[Record, ...]
    split_origin: str
    notes: tuple[str, ...] = ()
    further: Mapping[TaskName, ClassMap] = field(default_factory=dict)

    def split(self, part: str) -> tuple[Record, ...]:
        """The images of `"train"`, `"val"` or `"test"`, or every image for `"all"`; raises `UsageError` otherwise."""
        if part == "all":
            return self.records
        if part not in PARTS:
            raise UsageError(
                f"split {part!r} does not exist; allowed: {', '.join(PARTS)}, all.{nearest(part, (*PARTS, 'all'))}"
            )
        return self._parts[part]

    @property
    def heads(self) -> Mapping[TaskName, ClassMap]:
        """What a network can learn from it, each with its classes; the main one first."""
        return {self.task: self.classes, **self.further}

    @property
    def unit(self) -> Literal["image", "group"]:
        """What counts as one independent observation: the group where the images have groups."""
        return "group" if any(record.group is not None for record in self.records) else "image"

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings because of which training refuses."""
        return tuple(found for found in self.findings if found.severity is Severity.ERROR)

    def require_usable(self) -> None:
        """Raise `DataError` that lists every error, when there is one."""
        if self.errors:
            title = f"{self.root} has {counted(len(self.errors), 'error')}:"
            raise DataError("\n  ".join((title, *map(describe_finding, self.errors))))

    def describe(self) -> list[str]:
        """How the data was read, line by line, for people."""
        counts = Counter(record.split for record in self.records)
        parts = "/".join(str(counts[part]) for part in PARTS)
        images = f"{parts} images" if counts.keys() - {None} else counted(len(self.records), "image")
        classes = "1 class" if self.classes.num_classes == 1 else f"{self.classes.num_classes} classes"
        lines = [
            f"read as: {self.listing.layout}; {images}, {classes}",
            f"split: {self.split_origin}",
            f"classes: {_class_names(self.classes)}",
            *(f"classes to {task}: {_class_names(classes)}" for task, classes in self.further.items()),
        ]
        if self.unit == "group":
            lines.append(f"groups: {len({record.unit for record in self.records})}, the unit that is sampled")
        return [*lines, *self.notes]

    def splits(self) -> dict[str, list[str]]:
        """Ids per part, JSON-ready; `--split FILE.json` reads them back."""
        return {part: [record.id for record in self.split(part)] for part in PARTS}

    def strata(self) -> Mapping[str, frozenset[int]]:
        """Id to what of the image every part gets its share of; raises `UsageError` as `split.strata`."""
        return strata(self.records, joint_presence(self.records, self.facts, self.heads), self.config.stratify)

    @cached_property
    def _parts(self) -> dict[str, tuple[Record, ...]]:
        return {part: tuple(record for record in self.records if record.split == part) for part in PARTS}


def open_dataset(
    root: str | Path,
    config: DataConfig = DataConfig(),  # noqa: B008, frozen
    progress: Progress | None = None,
    classes: ClassMap | Mapping[TaskName, ClassMap] | None = None,
    task: TaskName | None = None,
    heads: Collection[TaskName] = (),
) -> OpenDataset:
    """List, scan, understand, split and check a data set.

    Args:
        root: folder or table.
        config: everything its files do not say, or say differently.
        progress: told the number of files scanned and their total.
        classes: the classes of a model that is to be evaluated, of several heads by their names. The masks are read
            with them, nothing is cut into parts, and what matters to training alone is not checked. Heads without
            targets are left out where others have some.
        task: which targets to read where the data has several.
        heads: several tasks whose targets are read together, in the place of `task`; an image may have any of them.

    Raises:
        UsageError: the folder, an option, or a file named in an option is wrong, or one of several heads has no
            targets at all. Problems of the data itself raise nothing: they are the `findings`, and `require_usable`
            raises for them.
    """
    apply_allowed((), config.allow)  # a misspelt code is refused before anything is read
    root = Path(root)
    tasks: list[TaskName | None] = [head for head in TASKS if head in heads] or [task]
    given: Iterable[tuple[TaskName | None, ClassMap]] = (
        ((task, classes),) if isinstance(classes, ClassMap) else (classes or {}).items()
    )
    known = dict(given)
    if known and len(tasks) > 1:
        tasks = [one for one in tasks if _has_targets(root, config, one)] or tasks
    listings = _list_targets(root, config, tasks, known)
    listing = join(listings)
    grouped = group_records(listing.records, config.group_by)
    facts = scan(grouped, progress, config.channels, [each.task for each in listings])
    decided = [Head.decide(each, config, facts, known.get(one)) for one, each in zip(tasks, listings, strict=True)]
    about_classes = _with_files([found for head in decided for found in head.findings], grouped, root)
    findings = [*listing.findings, *about_classes, *check_files(grouped, facts, root, [head.task for head in decided])]
    records = _usable(grouped, findings)
    if classes is None:
        shown_by = joint_presence(records, facts, {head.task: head.classes for head in decided})
        wanted = strata(records, shown_by, config.stratify)
        split = split_records(records, wanted, config, unused=[record.id for record in grouped])
        findings += [*split.findings, *check_set(split.records, facts.images, root)]
        findings += _check_heads(decided, split.records, facts, root, config, findings)
    else:
        split = Split(tuple(records), "the data's own parts")
        findings += check_not_empty(records)
    return OpenDataset(
        root=root,
        listing=listing,
        config=config,
        facts=facts,
        classes=decided[0].classes,
        findings=apply_allowed(list(dict.fromkeys(findings)), config.allow),
        task=listing.task,
        records=split.records,
        split_origin=split.origin,
        notes=(*listing.notes, *dict.fromkeys(note for head in decided for note in head.notes), *facts.notes),
        further={head.task: head.classes for head in decided[1:]},
    )


def _has_targets(root: Path, config: DataConfig, task: TaskName | None) -> bool:
    try:
        return list_records(root, config.format, task, config.axis).task == task
    except UsageError:  # nothing tells objects apart, say; what is wrong for every task is said when all are listed
        return False


def _list_targets(
    root: Path,
    config: DataConfig,
    tasks: Sequence[TaskName | None],
    known: Mapping[TaskName | None, ClassMap],
) -> list[Listing]:
    """The images with the targets of each task; raises `UsageError` where one of several tasks has none."""
    listings = [
        with_names(list_records(root, config.format, task, config.axis), config, known.get(task)) for task in tasks
    ]
    lacking = [str(task) for listing, task in zip(listings, tasks, strict=True) if listing.task != task]
    if len(tasks) > 1 and lacking:
        found = " and ".join(dict.fromkeys(listing.task for listing in listings))
        raise UsageError(
            f"{root} has no targets to {' or '.join(lacking)}, only to {found}; leave those heads out, or name other "
            "data"
        )
    return listings


def _check_heads(
    heads: Sequence[Head],
    records: Sequence[Record],
    facts: Facts,
    root: Path,
    config: DataConfig,
    findings: Sequence[Finding],
) -> Iterator[Finding]:
    """Classes that training or validation never sees, of every head whose classes are sure."""
    incomplete = any(RULES[found.code].leaves_out for found in _errors(findings, config))
    said: set[Finding] = set()  # masks of two heads have the same classes
    for head in heads:
        if records and not _errors(head.findings, config):
            about = check_classes(head, records, head.presence(records, facts), root, incomplete)
            for found in (found for found in about if found not in said):
                said.add(found)
                yield found if head is heads[0] else replace(found, message=f"to {head.task}, {found.message}")


def describe_finding(found: Finding) -> str:
    """One line: severity, code, message, and the first files."""
    more = len(found.files) - SHOWN_FILES
    files = ", ".join(found.files[:SHOWN_FILES]) + (f" and {more} more ('segkit check' lists all)" if more > 0 else "")
    return f"{found.severity} {found.code}: {found.message}" + (f": {files}" if files else "")


def _errors(findings: Iterable[Finding], config: DataConfig) -> list[Finding]:
    """The findings because of which training refuses."""
    return [found for found in findings if found.severity is Severity.ERROR and found.code not in config.allow]


def _with_files(findings: Iterable[Finding], records: Sequence[Record], root: Path) -> list[Finding]:
    """Findings about classes, which know records only, with the files that hold the classes: masks, else images."""
    files = {record.id: shown(target_file(record), root) for record in records}
    return [replace(found, files=tuple(files[id_] for id_ in found.records)) for found in findings]


def _usable(records: Sequence[Record], findings: Sequence[Finding]) -> list[Record]:
    """The records without those that no training can use."""
    unusable = {id_ for found in findings if RULES[found.code].leaves_out for id_ in found.records}
    return [record for record in records if record.id not in unusable]


def _class_names(classes: ClassMap) -> str:
    names = ", ".join(classes.names[:20]) + (
        f" and {classes.num_classes - 20} more" if classes.num_classes > 20 else ""
    )
    background = "none" if classes.background is None else classes.names[classes.background]
    return f"{names}; background: {background}"
