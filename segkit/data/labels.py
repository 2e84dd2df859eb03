"""The classes of labelled images or objects: the labels, in the order of the class file where there is one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from segkit.data.class_file import ClassFile
from segkit.data.classes import ClassDecision
from segkit.data.findings import Finding
from segkit.data.rules import finding
from segkit.structures import ClassMap, Color, palette

NO_CLASSES = ("object",)
"""In place of classes where no image is left, or none shows an object; the check has errors about both."""


def resolve_labels(declared: ClassFile | None, labels: Mapping[str, Sequence[str]]) -> ClassDecision:
    """Decide the class map of a set to classify, or to find objects in; it has no background, every class counts.

    Args:
        declared: the classes named in the options or in a class file; without them the labels found are the classes,
            sorted, by their numbers where all are numbers.
        labels: the labels of each image, or of its objects, by record id.
    """
    if declared is None:
        names = tuple(_in_order(_distinct(labels))) or NO_CLASSES
        return ClassDecision(ClassMap(names, _colors(len(names)), background=None))
    colors = declared.colors or _colors(len(declared.names))
    classes = ClassMap(declared.names, colors, declared.ids, background=None)
    return ClassDecision(classes, findings=tuple(check_labels(labels, classes, declared.source)))


def _colors(count: int) -> tuple[Color, ...]:
    """Without black, the first of the palette, which is for a background: labels have none."""
    return palette(count + 1)[1:]


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


def _distinct(labels: Mapping[str, Sequence[str]]) -> set[str]:
    return {label for found in labels.values() for label in found}


def check_labels(labels: Mapping[str, Sequence[str]], classes: ClassMap, source: str) -> Iterator[Finding]:
    """Labels that are no class of `source`."""
    unknown = _distinct(labels) - set(classes.names)
    if unknown:
        message = (
            f"{source} lacks the labels {', '.join(sorted(unknown)[:10])}; add them there, or take their images out"
        )
        yield finding("unknown-label", message, records=[id_ for id_, found in labels.items() if unknown & set(found)])
