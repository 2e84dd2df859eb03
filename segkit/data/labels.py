"""The classes of a classification set: its labels, in the order of the class file where there is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from segkit.data.class_file import ClassFile
from segkit.data.classes import ClassDecision
from segkit.data.findings import Finding
from segkit.data.rules import finding
from segkit.structures import ClassMap


def resolve_labels(declared: ClassFile | None, labels: Mapping[str, str]) -> ClassDecision:
    """Decide the class map of a classification data set; it has no background, every class counts.

    Args:
        declared: the classes named in the options or in a class file; without them the labels found are the classes,
            sorted, by their numbers where all are numbers.
        labels: the label of each image by record id.
    """
    if declared is None:
        return ClassDecision(ClassMap(tuple(_in_order(set(labels.values()))), background=None))
    classes = ClassMap(declared.names, declared.colors, declared.ids, background=None)
    return ClassDecision(classes, findings=tuple(check_labels(labels, classes, declared.source)))


def names_of_ids(labels: Iterable[str], names: Sequence[str], ids: Sequence[int]) -> dict[str, str]:
    """What labels mean that are ids of classes, as MNIST's are: label -> name; nothing where a label is a name."""
    found = set(labels)
    if found & set(names):
        return {}
    return {str(id_): name for name, id_ in zip(names, ids, strict=True) if str(id_) in found}


def _in_order(labels: set[str]) -> list[str]:
    """10 comes behind 9, and after the number by its text: 01 before 1."""
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def check_labels(labels: Mapping[str, str], classes: ClassMap, source: str) -> Iterator[Finding]:
    """Labels that are no class of `source`."""
    unknown = sorted(set(labels.values()) - set(classes.names))
    if unknown:
        message = f"{source} lacks the labels {', '.join(unknown[:10])}; add them there, or take their images out"
        yield finding("unknown-label", message, records=[id_ for id_, label in labels.items() if label in unknown])
