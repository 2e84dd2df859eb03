"""The front door of `segkit.data`: from a folder to a checked data set with classes and splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from segkit.data.about import target_file
from segkit.data.check import check_not_empty, check_set
from segkit.data.check_files import check_files, check_values
from segkit.data.classes import ClassDecision, ClassFile, declared_classes, resolve_class_map
from segkit.data.config import DataConfig
from segkit.data.facts import MaskFacts, class_pixels
from segkit.data.findings import Finding, Severity, shown
from segkit.data.formats._base import Listing, list_records
from segkit.data.labels import check_labels, names_of_ids, resolve_labels
from segkit.data.rules import RULES, apply_allowed
from segkit.data.scan import Facts, scan
from segkit.data.split import Split, group_records, split_records, strata
from segkit.errors import DataError, UsageError, nearest
from segkit.ops.words import counted
from segkit.structures import MASKED, PARTS, TASKS, ClassMap, Progress, Record, TaskName

SHOWN_FILES = 5


@dataclass(frozen=True)
class OpenDataset:
    """A data set whose every file was read once: what it holds, what it means, what is wrong with it.

    Attributes:
        root: the folder or table the user named.
        listing: what was found by name.
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
        ]
        if self.unit == "group":
            lines.append(f"groups: {len({record.unit for record in self.records})}, the unit that is sampled")
        return [*lines, *self.notes]

    def splits(self) -> dict[str, list[str]]:
        """Ids per part, JSON-ready; `--split FILE.json` reads them back."""
        return {part: [record.id for record in self.split(part)] for part in PARTS}

    def strata(self) -> Mapping[str, frozenset[int]]:
        """Id to what of the image every part gets its share of; raises `UsageError` as `split.strata`."""
        return strata(self.records, _presence(self.records, self.facts, self.classes, self.task), self.config.stratify)

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
            with them, nothing is cut into parts, and what matters to training alone is not checked.
        task: which targets to read where the data has several.
        heads: several tasks whose targets are read together, in the place of `task`; an image may have any of them.

    Raises:
        UsageError: the folder, an option, or a file named in an option is wrong. Problems of the data itself raise
            nothing: they are the `findings`, and `require_usable` raises for them.
    """
    given = classes if isinstance(classes, Mapping) else {}
    if len(heads) < 2:
        single = next(iter(heads), task)
        known = classes if isinstance(classes, ClassMap) else None if single is None else given.get(single)
        return _open(root, config, progress, known, single)
    first, *others = (head for head in TASKS if head in heads)
    main = _open(root, config, progress, given.get(first), first)
    parts = {record.unit: record.split for record in main.records}
    return _joined(main, [_open(root, config, progress, given.get(head), head, parts) for head in others])


def _open(
    root: str | Path,
    config: DataConfig,
    progress: Progress | None,
    classes: ClassMap | None,
    task: TaskName | None,
    parts: Mapping[str, str | None] | None = None,
) -> OpenDataset:
    """The data set with the targets of one task; `parts` has the part of every unit that another head has put in one.

    Units it does not name go into the training part.
    """
    apply_allowed((), config.allow)  # a misspelt code is refused before anything is read
    root = Path(root)
    listing = _with_names(list_records(root, config.format, task, config.axis), config, classes)
    grouped = group_records(listing.records, config.group_by)
    facts = scan(grouped, progress, config.channels, listing.task)
    decision = _decide_classes(listing, config, facts) if classes is None else _given(listing, classes, facts)
    about_classes = _with_files(decision.findings, grouped, root)
    findings = [*listing.findings, *about_classes, *check_files(grouped, facts, root)]
    records = _usable(grouped, findings)
    if parts is not None:
        records = [replace(record, split=parts.get(record.unit, "train")) for record in records]
        config = config.model_copy(update={"split": None})
    if classes is None:
        presence = _presence(records, facts, decision.class_map, listing.task)
        wanted = strata(records, presence, config.stratify)
        split = split_records(records, wanted, config, unused=[record.id for record in grouped])
        whole = check_set(
            split.records,
            facts,
            presence,
            None if _errors(decision.findings, config) else decision.class_map,
            root,
            listing.task,
            unused_classes=listing.declared is not None and _class_list(listing, config) is None,
            class_list=_class_list(listing, config),
            incomplete=any(RULES[found.code].leaves_out for found in _errors(findings, config)),
        )
        findings += [*split.findings, *whole]
    else:
        split = Split(tuple(records), "the data's own parts")
        findings += check_not_empty(records)
    return OpenDataset(
        root=root,
        listing=listing,
        config=config,
        facts=facts,
        classes=decision.class_map,
        findings=apply_allowed(findings, config.allow),
        task=listing.task,
        records=split.records,
        split_origin=split.origin,
        notes=(*listing.notes, *decision.notes, *facts.notes),
    )


def _joined(main: OpenDataset, others: Sequence[OpenDataset]) -> OpenDataset:
    """One data set of the images of all, each with all its targets."""
    records = {record.id: record for record in main.records}
    images, masks = dict(main.facts.images), dict(main.facts.masks)
    findings, notes = dict.fromkeys(main.findings), dict.fromkeys(main.notes)
    for other in others:
        for record in other.records:
            records[record.id] = _merged(records[record.id], record) if record.id in records else record
        images, masks = {**other.facts.images, **images}, {**other.facts.masks, **masks}
        findings |= dict.fromkeys(other.findings)
        notes |= dict.fromkeys([*other.notes, f"classes to {other.task}: {', '.join(other.classes.names[:20])}"])
    counts = ", ".join(f"{each.task} {counted(len(each.records), 'image')}" for each in (main, *others))
    return replace(
        main,
        records=tuple(records[id_] for id_ in sorted(records)),
        facts=Facts(images, masks, main.facts.notes),
        findings=tuple(findings),
        notes=(*notes, f"targets: {counts}"),
        further={other.task: other.classes for other in others},
    )


def _merged(one: Record, other: Record) -> Record:
    """One image with the targets of both records; objects of the one that marks more of them."""
    marked = [record.annotation for record in (one, other) if record.annotation is not None]
    return replace(
        one,
        mask=one.mask if one.mask is not None else other.mask,
        label=one.label if one.label is not None else other.label,
        instances=one.instances or other.instances,
        annotation=max(marked, key=lambda annotation: len(annotation.objects), default=None),
    )


def describe_finding(found: Finding) -> str:
    """One line: severity, code, message, and the first files."""
    more = len(found.files) - SHOWN_FILES
    files = ", ".join(found.files[:SHOWN_FILES]) + (f" and {more} more ('segkit check' lists all)" if more > 0 else "")
    return f"{found.severity} {found.code}: {found.message}" + (f": {files}" if files else "")


def _with_names(listing: Listing, config: DataConfig, classes: ClassMap | None) -> Listing:
    """The listing with names for the labels that are ids of the declared classes, or of a model's."""
    if listing.task != "classify":
        return listing
    known = classes if classes is not None else _declared(listing, config)
    labels = [label for found in _labels(listing).values() for label in found]
    names = names_of_ids(labels, known.names, known.ids) if known is not None else {}
    if not names:
        return listing
    records = tuple(replace(record, label=names.get(record.label or "", record.label)) for record in listing.records)
    said = f"labels are ids: {', '.join(f'{label} is {name}' for label, name in list(names.items())[:10])}"
    return replace(listing, records=records, notes=(*listing.notes, said + (" ..." if len(names) > 10 else "")))


def _declared(listing: Listing, config: DataConfig) -> ClassFile | None:
    """The classes named in the options or in the class file beside the data."""
    return declared_classes(config, listing.declared_classes())


def _decide_classes(listing: Listing, config: DataConfig, facts: Facts) -> ClassDecision:
    """The classes as the options, the class file and the files themselves say."""
    if listing.task in MASKED:
        return resolve_class_map(config, listing.declared_classes(), _masks(listing, facts), listing.numbered)
    return resolve_labels(_declared(listing, config), _labels(listing))


def _errors(findings: Iterable[Finding], config: DataConfig) -> list[Finding]:
    """The findings because of which training refuses."""
    return [found for found in findings if found.severity is Severity.ERROR and found.code not in config.allow]


def _class_list(listing: Listing, config: DataConfig) -> str | None:
    """What the user listed the classes in; None where values, or an annotation tool, tell them."""
    declared = _declared(listing, config) if listing.class_file is not None or config.classes is not None else None
    return None if declared is None else declared.source


def _given(listing: Listing, classes: ClassMap, facts: Facts) -> ClassDecision:
    """The classes of a model, and what does not fit them."""
    if listing.task in MASKED:
        return ClassDecision(classes, findings=tuple(check_values(_masks(listing, facts), classes)))
    return ClassDecision(classes, findings=tuple(check_labels(_labels(listing), classes, "the model")))


def _labels(listing: Listing) -> dict[str, tuple[str, ...]]:
    """Record id -> the labels of the image, or of the objects in it."""
    return {record.id: record.labels(listing.task) for record in listing.records}


def _masks(listing: Listing, facts: Facts) -> dict[str, MaskFacts]:
    """In the order of the records, whatever the scan read first."""
    return {record.id: facts.masks[record.id] for record in listing.records}


def _with_files(findings: Iterable[Finding], records: Sequence[Record], root: Path) -> list[Finding]:
    """Findings about classes, which know records only, with the files that hold the classes: masks, else images."""
    files = {record.id: shown(target_file(record), root) for record in records}
    return [replace(found, files=tuple(files[id_] for id_ in found.records)) for found in findings]


def _usable(records: Sequence[Record], findings: Sequence[Finding]) -> list[Record]:
    """The records without those that no training can use."""
    unusable = {id_ for found in findings if RULES[found.code].leaves_out for id_ in found.records}
    return [record for record in records if record.id not in unusable]


def _presence(records: Sequence[Record], facts: Facts, classes: ClassMap, task: TaskName) -> dict[str, frozenset[int]]:
    """Id to the classes its image shows: those in its mask, its label, or those of its objects."""
    indices = {name: index for index, name in enumerate(classes.names)}
    return {
        record.id: frozenset(
            class_pixels(facts.masks[record.id], classes)
            if record.id in facts.masks
            else [indices[label] for label in record.labels(task) if label in indices]
        )
        for record in records
    }


def _class_names(classes: ClassMap) -> str:
    names = ", ".join(classes.names[:20]) + (
        f" and {classes.num_classes - 20} more" if classes.num_classes > 20 else ""
    )
    background = "none" if classes.background is None else classes.names[classes.background]
    return f"{names}; background: {background}"
