"""What the targets of one head mean: its classes, and which of them an image shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from segkit.data.check_files import check_values
from segkit.data.classes import ClassDecision, ClassFile, declared_classes, resolve_class_map
from segkit.data.config import DataConfig
from segkit.data.facts import MaskFacts, class_pixels
from segkit.data.findings import Finding
from segkit.data.formats._base import Listing
from segkit.data.instance_ids import check_numbers
from segkit.data.labels import check_labels, names_of_ids, resolve_labels
from segkit.data.scan import Facts
from segkit.structures import MASKED, ClassMap, Record, TaskName

Presence = Mapping[str, frozenset[int]]
"""Record id -> the classes its image shows."""


@dataclass(frozen=True)
class Head:
    """The images of a data set that have one kind of target, and what the targets mean.

    Attributes:
        listing: the images.
        classes: what mask values, or labels, mean.
        notes: what to say about the classes.
        findings: what stands against them; they name records, no files.
        class_list: what the user listed the classes in; None where values, or an annotation tool, tell them.
        unused_classes: classes that no image shows are no mistake: an annotation tool exports all it knows.
    """

    listing: Listing
    classes: ClassMap
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    class_list: str | None = None
    unused_classes: bool = False

    @classmethod
    def decide(cls, listing: Listing, config: DataConfig, facts: Facts, classes: ClassMap | None) -> Head:
        """The head with the classes that options, class file and targets say, or with those of a model."""
        decision = _decision(listing, config, facts) if classes is None else _given(listing, classes, facts)
        declared = _declared(listing, config) if listing.class_file is not None or config.classes is not None else None
        return cls(
            listing=listing,
            classes=decision.class_map,
            notes=decision.notes,
            findings=decision.findings,
            class_list=None if declared is None else declared.source,
            unused_classes=listing.declared is not None and declared is None,
        )

    @property
    def task(self) -> TaskName:
        """What its targets are for."""
        return self.listing.task

    def presence(self, records: Sequence[Record], facts: Facts) -> Presence:
        """The classes that each of the records shows which have its target."""
        own = {record.id for record in self.listing.records}
        return presence([record for record in records if record.id in own], facts, self.classes, self.task)


def presence(records: Sequence[Record], facts: Facts, classes: ClassMap, task: TaskName) -> dict[str, frozenset[int]]:
    """Id to the classes its image shows: those in its mask, its label, or those of its objects."""
    indices = {name: index for index, name in enumerate(classes.names)}
    return {
        record.id: frozenset(
            class_pixels(facts.masks[record.id], classes)
            if task in MASKED and record.id in facts.masks
            else [indices[label] for label in record.labels(task) if label in indices]
        )
        for record in records
    }


def joint_presence(records: Sequence[Record], facts: Facts, heads: Mapping[TaskName, ClassMap]) -> Presence:
    """Id to what its image shows: classes of the main head, those of a further one only where it shows none.

    So a further head changes no cut of images that have the target of the main one. Classes are numbered on.
    """
    shown: dict[str, frozenset[int]] = {record.id: frozenset() for record in records}
    first = 0
    for task, classes in heads.items():
        for id_, found in presence(records, facts, classes, task).items():
            shown[id_] = shown[id_] or frozenset(index + first for index in found)
        first += classes.num_classes
    return shown


def with_names(listing: Listing, config: DataConfig, classes: ClassMap | None) -> Listing:
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


def _decision(listing: Listing, config: DataConfig, facts: Facts) -> ClassDecision:
    """The classes as the options, the class file and the files themselves say."""
    if listing.task not in MASKED:
        return resolve_labels(_declared(listing, config), _labels(listing))
    masks = _masks(listing, facts)
    decision = resolve_class_map(config, listing.declared_classes(), masks, listing.numbered)
    if listing.task != "instances" or not listing.numbered:
        return decision
    return replace(decision, findings=(*decision.findings, *check_numbers(masks)))


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
