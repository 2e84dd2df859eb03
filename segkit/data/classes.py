"""Which classes a data set has, and what the values in its masks mean: declared, or inferred and always said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.class_file import ClassFile, read_class_file
from segkit.data.config import DataConfig
from segkit.data.facts import MaskFacts
from segkit.data.findings import Finding
from segkit.data.instance_ids import number_objects
from segkit.data.mask_values import are_colors, files_by_gray_value, files_by_value, gray_to_color, pack
from segkit.data.rules import finding
from segkit.errors import UsageError
from segkit.structures import IGNORE_INDEX, ClassMap

__all__ = ["ClassDecision", "ClassFile", "declared_classes", "read_class_file", "resolve_class_map"]

IGNORED_VALUE = 255
"""Stored value that is not counted where nothing says otherwise."""

_LISTED = 12
_SMOOTHED = 32
"""So many unknown values come from smoothing or JPEG, not from classes."""


@dataclass(frozen=True)
class ClassDecision:
    """The class map, what to say about it, and what stands against it.

    With an error among the findings the class map holds the classes that are sure, and does not know the other values.
    """

    class_map: ClassMap
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def resolve_class_map(
    config: DataConfig, class_file: ClassFile | None, mask_facts: Mapping[str, MaskFacts]
) -> ClassDecision:
    """Decide the class map of a segmentation data set.

    Args:
        config: `classes`, `map`, `ignore` and `background` are used; they come before the class file.
        class_file: the class file beside the data.
        mask_facts: the facts of each mask, under the name that findings give it.

    Raises:
        UsageError: an option names a class that does not exist, or its class file cannot be read.
    """
    declared = declared_classes(config, class_file)
    masks = {name: facts for name, facts in mask_facts.items() if facts.error is None}
    if any(facts.kind == "per-class" for facts in masks.values()):
        return _resolve_class_files(config, declared, masks)
    if are_colors(masks, declared.colors if declared else ()):
        return _resolve_colors(config, declared, masks)
    return _resolve_ids(config, declared, masks)


def declared_classes(config: DataConfig, class_file: ClassFile | None) -> ClassFile | None:
    """The classes named in the options, else in the class file beside the data."""
    if isinstance(config.classes, Path):
        return read_class_file(config.classes)
    return class_file if config.classes is None else ClassFile.from_names(config.classes, "--classes")


def _resolve_ids(config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> ClassDecision:
    """Masks of ids: single-channel, palette, or gray stored as colour."""
    files = files_by_gray_value(masks)
    mapped, notes = _mapped(config, declared, files.keys())
    ignored = _ignored(config, declared, mapped)
    targets = {value: mapped.get(value, value) for value in files if value not in ignored}
    unsure = not mapped if declared is None else not set(targets.values()) <= set(declared.ids)
    if unsure and number_objects(masks):
        classes = _without(declared, ignored) if declared else _background_only()
        findings = [_instance_finding(masks)]
    else:
        classes = _without(declared, ignored) if declared else _inferred(config, {*targets.values(), *mapped.values()})
        findings = _unknown_ids(targets, classes, declared, files)
    _require_targets(config, declared, classes)
    values = {id_: id_ for id_ in classes.ids} | {value: id_ for value, id_ in mapped.items() if id_ in classes.ids}
    if any(facts.kind == "rgb" for facts in masks.values()):
        notes.append("masks are gray stored as colour: the gray values are the ids")
        values |= {gray_to_color(value): id_ for value, id_ in values.items()}
        ignored |= {gray_to_color(value) for value in ignored}
    seen = {value for value in ignored if value in files}
    return _decision(config, declared, classes, values, ignored, [*notes, *_ignored_note(declared, seen)], findings)


def _resolve_colors(config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> ClassDecision:
    """Masks of colours, whose meaning only a class file can tell."""
    files = files_by_value(masks)
    ignored = set(config.ignore)
    classes, values = _background_only(), {value: id_ for value, id_ in config.map.items() if value != "other"}
    if declared and declared.colors:
        of_color = {pack(color): id_ for id_, color in zip(declared.ids, declared.colors, strict=True)}
        ignored |= {value for value, id_ in of_color.items() if id_ in declared.ignored}
        classes = _without(declared, set(declared.ignored))
        values = {value: id_ for value, id_ in of_color.items() if value not in ignored} | values
    unknown = sorted(files.keys() - values.keys() - ignored)
    findings = [_unknown_colors(unknown, files, declared)] if unknown else []
    values = {value: id_ for value, id_ in values.items() if id_ in classes.ids}
    return _decision(
        config,
        declared,
        classes,
        values,
        ignored,
        _ignored_note(declared, set(declared.ignored) if declared else set()),
        findings,
    )


def _resolve_class_files(
    config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]
) -> ClassDecision:
    """One mask file per class: the file's class is its name, what no file claims is background."""
    found = sorted({name for facts in masks.values() for name in facts.classes})
    classes = _without(declared, set(declared.ignored)) if declared else ClassFile.from_names(found, "the mask files")
    if classes.background is None and config.background is None:
        classes = ClassFile.from_names(("background", *classes.names), classes.source)
    unknown = [name for name in found if name not in classes.names]
    files = [name for name, facts in masks.items() if not facts.classes.keys() <= set(classes.names)]
    message = f"mask files of {', '.join(unknown)}, which {classes.source} does not name as a class that counts; add them there"
    findings = [finding("unknown-id", message, files)] if unknown else []
    return _decision(config, declared, classes, {id_: id_ for id_ in classes.ids}, set(), [], findings)


def _decision(
    config: DataConfig,
    declared: ClassFile | None,
    classes: ClassFile,
    values: Mapping[int, int],
    ignored: Iterable[int],
    notes: Iterable[str],
    findings: Iterable[Finding],
) -> ClassDecision:
    """Put the class map together from ids per stored value."""
    indices = {value: classes.ids.index(id_) for value, id_ in values.items()}
    source = [f"classes from {Path(declared.source).name}"] if declared else []
    class_map = ClassMap(
        names=classes.names,
        colors=classes.colors,
        ids=classes.ids,
        values=indices | dict.fromkeys(ignored, IGNORE_INDEX),
        background=_background(config, classes),
    )
    return ClassDecision(class_map, (*source, *notes), tuple(findings))


def _mapped(config: DataConfig, declared: ClassFile | None, present: Iterable[int]) -> tuple[dict[int, int], list[str]]:
    """Stored value -> class id, where they differ: as asked, else 255 -> 1 in masks of exactly 0 and 255."""
    mapped = {value: id_ for value, id_ in config.map.items() if value != "other"}
    free = set(present) - mapped.keys() - set(config.ignore)
    if "other" in config.map:
        return mapped | dict.fromkeys(free - {0}, config.map["other"]), []
    countable = 0 if declared is None else len(set(declared.ids) - set(declared.ignored))
    is_binary = IGNORED_VALUE in free <= {0, IGNORED_VALUE} and not mapped and countable <= 2
    if is_binary and IGNORED_VALUE not in (declared.ids if declared else ()):
        return {IGNORED_VALUE: 1}, ["mask values 0 and 255 mean 0 and 1"]
    return mapped, []


def _ignored(config: DataConfig, declared: ClassFile | None, mapped: Mapping[int, int]) -> set[int]:
    """Stored values that are not counted; what is mapped to a class counts."""
    default = () if declared and IGNORED_VALUE in declared.ids else (IGNORED_VALUE,)
    return {*config.ignore, *(declared.ignored if declared else ()), *default} - mapped.keys()


def _without(declared: ClassFile, ignored: set[int]) -> ClassFile:
    """The declared classes that count."""
    kept = [position for position, id_ in enumerate(declared.ids) if id_ not in ignored]
    if not kept:
        raise UsageError(f"{declared.source} names no class that counts; give at least one besides void and --ignore")
    return replace(
        declared,
        names=tuple(declared.names[position] for position in kept),
        ids=tuple(declared.ids[position] for position in kept),
        colors=tuple(declared.colors[position] for position in kept) if declared.colors else (),
    )


def _inferred(config: DataConfig, ids: set[int]) -> ClassFile:
    """The classes 0, 1, 2, ... up to the first gap."""
    count = next(id_ for id_ in range(len(ids) + 1) if id_ not in ids)
    background = 0 if config.background is None else config.background
    other = "foreground" if count == 2 and background != "none" else "class {}"
    names = ("background" if id_ == background else other.format(id_) for id_ in range(max(count, 1)))
    return replace(ClassFile.from_names(tuple(names), "the masks"), background=0)


def _background_only() -> ClassFile:
    return ClassFile.from_names(("background",), "the masks")


def _background(config: DataConfig, classes: ClassFile) -> int | None:
    """Index of the background: as asked, else the class called so, else id 0 where nothing is declared."""
    wanted = classes.background if config.background is None else config.background
    if wanted in classes.ids:
        return classes.ids.index(int(wanted))
    if config.background not in (None, "none"):
        raise UsageError(
            f"--background {config.background}: there is no such class; allowed: {_listed(classes)}, or none"
        )
    return None


def _require_targets(config: DataConfig, declared: ClassFile | None, classes: ClassFile) -> None:
    wrong = [f"{value}={id_}" for value, id_ in config.map.items() if declared and id_ not in classes.ids]
    if wrong:
        raise UsageError(f"--map {','.join(wrong)}: there is no such class; allowed: {_listed(classes)}")


def _unknown_ids(
    targets: Mapping[int, int], classes: ClassFile, declared: ClassFile | None, files: Mapping[int, list[str]]
) -> list[Finding]:
    """A finding about the values that are no class."""
    unknown = sorted(value for value, id_ in targets.items() if id_ not in classes.ids)
    if not unknown:
        return []
    concerned = _files(unknown, files)
    values = f"{_some(unknown)} in {len(concerned)} masks"
    if len(unknown) > _SMOOTHED:
        message = f"{len(unknown)} different values ({values}), as smoothing or JPEG leaves them; export the masks anew as PNG, without smoothing"
    elif declared:
        ids = ",".join(map(str, unknown[:_LISTED]))
        message = (
            f"mask values {values} are no class of {declared.source} ({_listed(classes)}); "
            f"give '--map {unknown[0]}=ID', or '--ignore {ids}', or name them as classes"
        )
    else:
        order = sorted(targets, key=lambda value: (targets[value], value))
        pairs = ",".join(f"{value}={id_}" for id_, value in enumerate(order) if value != id_)
        message = (
            f"mask values {values} leave a gap, class ids are 0, 1, 2, ... (found: {_some(sorted(files))}); "
            f"give '--map {pairs}', or declare the classes that are absent with --classes FILE|NAMES"
        )
    return [finding("unknown-id", message, concerned)]


def _unknown_colors(unknown: list[int], files: Mapping[int, list[str]], declared: ClassFile | None) -> Finding:
    concerned = _files(unknown, files)
    colors = ", ".join(str((value >> 16, value >> 8 & 255, value & 255)) for value in unknown[:_LISTED])
    colors += f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
    if declared and declared.colors:
        message = (
            f"colours {colors} in {len(concerned)} masks are no class of {declared.source}; "
            "add them there, with the name void where they are not to be counted"
        )
    else:
        message = (
            f"masks hold colours and nothing says which classes they are: {colors}; "
            "give a class file: --classes FILE.csv with the columns id,name,r,g,b"
        )
    return finding("unknown-id", message, concerned)


def _instance_finding(masks: Mapping[str, MaskFacts]) -> Finding:
    highest = max(max(facts.values, default=0) for facts in masks.values())
    message = (
        f"masks number objects (1 to {highest}) instead of naming classes; "
        "give '--map other=1' to learn object against background, or '--map VALUE=CLASS' for each number"
    )
    return finding("instance-ids", message, [name for name, facts in masks.items() if max(facts.values, default=0) > 1])


def _ignored_note(declared: ClassFile | None, values: set[int]) -> list[str]:
    names = dict(zip(declared.ids, declared.names, strict=True)) if declared else {}
    listed = ", ".join(f"{names[value]} ({value})" if value in names else str(value) for value in sorted(values))
    return [f"not counted: {listed}"] if listed else []


def _files(values: Iterable[int], files: Mapping[int, list[str]]) -> list[str]:
    return sorted({name for value in values for name in files[value]})


def _some(values: list[int]) -> str:
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return ", ".join(map(str, values[:_LISTED])) + more


def _listed(classes: ClassFile) -> str:
    pairs = [f"{id_} {name}" for id_, name in zip(classes.ids, classes.names, strict=True)]
    return ", ".join(pairs[:_LISTED]) + (f" and {len(pairs) - _LISTED} more" if len(pairs) > _LISTED else "")
