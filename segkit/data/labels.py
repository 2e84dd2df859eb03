"""The classes of a classification set: its labels, in the order of the class file where there is one."""

from __future__ import annotations

from collections.abc import Mapping

from segkit.data.classes import ClassDecision, ClassFile, declared_classes
from segkit.data.config import DataConfig
from segkit.data.rules import finding
from segkit.structures import ClassMap


def resolve_labels(config: DataConfig, class_file: ClassFile | None, labels: Mapping[str, str]) -> ClassDecision:
    """Decide the class map of a classification data set; it has no background, every class counts.

    Args:
        config: `classes` is used; it comes before the class file.
        class_file: the class file beside the data.
        labels: the label of each image under the name it has in findings.

    Raises:
        UsageError: the class file named in `config` cannot be read.
    """
    declared = declared_classes(config, class_file)
    found = sorted(set(labels.values()))
    if declared is None:
        return ClassDecision(ClassMap(tuple(found), background=None))
    class_map = ClassMap(declared.names, declared.colors, background=None)
    unknown = [label for label in found if label not in declared.names]
    if not unknown:
        return ClassDecision(class_map)
    message = f"{declared.source} lacks the labels {', '.join(unknown[:10])}; add them there, or take their images out"
    return ClassDecision(class_map, findings=(finding("unknown-label", message, [name for name, label in labels.items() if label in unknown]),))
