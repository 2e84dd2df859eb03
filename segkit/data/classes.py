"""Which classes a data set has, and what the values in its masks mean: declared, or inferred and always said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from segkit.data.class_file import ClassFile, read_class_file
from segkit.data.class_findings import (
    altered_values,
    instance_ids,
    list_classes,
    masks_in_color,
    not_binary,
    unknown_class_files,
    unknown_colors,
    unknown_ids,
)
from segkit.data.config import DataConfig
from segkit.data.facts import MaskFacts
from segkit.data.findings import Finding
from segkit.data.instance_ids import number_objects
from segkit.data.mask_values import (
    are_colors,
    colored_among_ids,
    gray_to_color,
    gray_values,
    holders_by_gray_value,
    holders_by_value,
    pack,
)
from segkit.data.voc_colors import VOC_BORDER, with_voc_colors
from segkit.errors import UsageError
from segkit.structures import IGNORE_INDEX, ClassMap

__all__ = ["ClassDecision", "ClassFile", "declared_classes", "read_class_file", "resolve_class_map"]

IGNORED_VALUE = 255
"""Stored value that is not counted where nothing says otherwise."""


@dataclass(frozen=True)
class ClassDecision:
    """The class map, what to say about it, and what stands against it.

    With an error among the findings the class map holds the classes that are sure, and does not know the other values.
    """

    class_map: ClassMap
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def resolve_class_map(
    config: DataConfig,
    class_file: ClassFile | None,
    mask_facts: Mapping[str, MaskFacts],
    numbered: bool = False,
) -> ClassDecision:
    """Decide the class map of a segmentation data set.

    Args:
        config: `classes`, `map`, `ignore` and `background` are used; they come before the class file.
        class_file: the class file beside the data.
        mask_facts: the facts of each mask by record id; the findings name records, no files.
        numbered: the layout says that masks number objects, so that they are one class unless `map` says more.

    Raises:
        UsageError: an option names a class that does not exist, or its class file cannot be read.
    """
    declared = declared_classes(config, class_file)
    readable = {name: facts for name, facts in mask_facts.items() if facts.error is None}
    strangers = colored_among_ids(readable)
    masks = _trusted({name: facts for name, facts in readable.items() if name not in strangers})
    if any(facts.is_named for facts in masks.values()):
        decision = _resolve_class_files(config, declared, masks)
    elif are_colors(masks, declared.colors if declared else ()):
        decision = _resolve_colors(config, declared, masks)
    else:
        objects = None if config.map or not numbered else _class_of_objects(declared)
        read = config if objects is None else config.model_copy(update={"map": {"other": objects}})
        decision = _resolve_ids(read, declared, masks)
        if objects is not None:
            name = decision.class_map.names[decision.class_map.ids.index(objects)]
            said = f"masks number objects, as the layout says: each is of the class {name}"
            decision = replace(decision, notes=(said, *decision.notes))
    source = (f"classes from {Path(declared.source).name}",) if declared else ()
    altered = {name: facts for name, facts in readable.items() if name not in (*masks, *strangers)}
    findings = (
        *decision.findings,
        *masks_in_color(strangers, len(mask_facts)),
        *altered_values(altered, decision.class_map),
    )
    return replace(decision, notes=(*source, *decision.notes), findings=findings)


def _trusted(masks: Mapping[str, MaskFacts]) -> dict[str, MaskFacts]:
    """The masks whose values mean something: those in lossless files, where there are any."""
    lossless = {name: facts for name, facts in masks.items() if not facts.lossy}
    return lossless or dict(masks)


def declared_classes(config: DataConfig, class_file: ClassFile | None) -> ClassFile | None:
    """The classes named in the options, else in the class file beside the data."""
    if isinstance(config.classes, Path):
        return read_class_file(config.classes)
    return class_file if config.classes is None else ClassFile.from_names(config.classes, "--classes")


@dataclass(frozen=True)
class _Reading:
    """What the gray values of masks mean.

    Attributes:
        classes: those that count.
        values: stored value -> class id.
        ignored: stored values that are not counted.
        notes: what to say about it.
        findings: what stands against it.
    """

    classes: ClassFile
    values: dict[int, int]
    ignored: set[int]
    notes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()


def _resolve_ids(config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> ClassDecision:
    """Masks of ids: single-channel, palette, or gray stored as colour."""
    read = _read_as_one if "other" in config.map else _read_ids
    reading = read(config, declared, masks)
    values, ignored, notes = reading.values, reading.ignored, reading.notes
    if any(facts.kind == "rgb" for facts in masks.values()):
        notes = (*notes, "masks are gray stored as colour: the gray values are the ids")
        values = values | {gray_to_color(value): id_ for value, id_ in values.items()}
        ignored = ignored | {gray_to_color(value) for value in ignored}
    return ClassDecision(_class_map(config, reading.classes, values, ignored), notes, reading.findings)


def _class_of_objects(declared: ClassFile | None) -> int | None:
    """The id of all objects where masks number them; None where several classes are declared, or background alone."""
    if declared is None:
        return 1
    countable = set(declared.ids) - set(declared.ignored) - {0}
    return countable.pop() if len(countable) == 1 else None


def _read_ids(config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> _Reading:
    """Values that are ids of classes, but for those mapped to another."""
    holders = holders_by_gray_value(masks)
    is_binary = _are_binary(config, declared, masks)
    mapped = {IGNORED_VALUE: 1} if is_binary else _numbered(config)
    notes = ("mask values 0 and 255 mean 0 and 1",) if is_binary else ()
    ignored = _ignored(config, declared, mapped)
    stray = holders.keys() - {0, IGNORED_VALUE} - ignored if is_binary else set()
    targets = {value: mapped.get(value, value) for value in holders if value not in ignored | stray}
    undecided = targets.keys() - mapped.keys() - set(declared.ids if declared else (0,))
    if undecided and not _fits_most(declared, masks) and number_objects(masks):
        classes = _without(declared, ignored) if declared else _background_only()
        findings = [instance_ids(masks)]
    else:
        classes = _without(declared, ignored) if declared else _inferred(config, {*targets.values(), *mapped.values()})
        findings = unknown_ids(targets, classes, holders, len(masks), is_declared=declared is not None)
    findings += not_binary(stray, holders, len(masks))
    if declared:
        _require_targets(config, classes)
    values = {id_: id_ for id_ in classes.ids} | {value: id_ for value, id_ in mapped.items() if id_ in classes.ids}
    notes = (*notes, *_ignored_note(declared, ignored & holders.keys()))
    return _Reading(classes, values, ignored, notes, tuple(findings))


def _read_as_one(config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> _Reading:
    """Values that are all of one class, `--map other=ID`, but for 0 and those that `--map` or `--ignore` names.

    The ids of a class file name no values here: each may be the number of an object.
    """
    holders, ignored = holders_by_gray_value(masks), set(config.ignore)
    values = {value: id_ for value, id_ in {0: 0, **_numbered(config)}.items() if value not in ignored}
    if declared:
        classes = _without(declared, set(declared.ignored))
        _require_targets(config, classes)
    else:
        classes = _inferred(config, {*values.values(), config.map["other"]})
    present = {value: id_ for value, id_ in values.items() if value in holders}
    findings = unknown_ids(present, classes, holders, len(masks), is_declared=True)
    known = {value: id_ for value, id_ in values.items() if id_ in classes.ids}
    notes = tuple(_ignored_note(declared, ignored & holders.keys()))
    return _Reading(classes, known, ignored, notes, tuple(findings))


def _resolve_colors(config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> ClassDecision:
    """Masks of colours, whose meaning only a class file can tell."""
    holders = holders_by_value(masks)
    if config.map:
        raise UsageError(
            "--map: the masks tell classes apart by colour, not by number; "
            "give a class file instead: --classes FILE.csv with the columns id,name,r,g,b"
        )
    classes, values, ignored, notes = _background_only(), {}, set(config.ignore), []
    painted = with_voc_colors(declared, holders) if declared else None
    declared = painted or declared
    if declared and declared.colors:
        by_color = {pack(color): id_ for id_, color in zip(declared.ids, declared.colors, strict=True)}
        classes = _without(declared, set(declared.ignored))
        values = {value: id_ for value, id_ in by_color.items() if id_ in classes.ids and value not in ignored}
        ignored |= {value for value, id_ in by_color.items() if id_ in declared.ignored}
        notes = _ignored_note(declared, set(declared.ignored))
    if painted:
        ignored.add(VOC_BORDER)
        notes = [f"the colours are Pascal VOC's for the ids of {Path(painted.source).name}", *notes]
    findings = unknown_colors(holders.keys() - values.keys() - ignored, holders, len(masks), declared)
    return ClassDecision(_class_map(config, classes, values, ignored), tuple(notes), tuple(findings))


def _resolve_class_files(
    config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]
) -> ClassDecision:
    """One mask file per class, or marked objects: the class is a name, what none claims is background."""
    if config.map or config.ignore:
        raise UsageError(
            "--map and --ignore are about values in masks, and here names tell the classes of files or objects; "
            "leave them out, and take away what shall not count"
        )
    found = sorted({name for facts in masks.values() for name in facts.classes})
    classes = _without(declared, set(declared.ignored)) if declared else ClassFile.from_names(found, "the names found")
    if classes.background is None and config.background is None:
        classes = _with_background(classes)
    values = {id_: id_ for id_ in classes.ids}
    return ClassDecision(_class_map(config, classes, values, set()), (), tuple(unknown_class_files(classes, masks)))


def _with_background(classes: ClassFile) -> ClassFile:
    """The classes and background, which has the id 0: where another has it, all are numbered anew."""
    ids = (0, *classes.ids) if 0 not in classes.ids else tuple(range(len(classes.ids) + 1))
    colors = ((0, 0, 0), *classes.colors) if classes.colors else ()
    return replace(classes, names=("background", *classes.names), ids=ids, colors=colors, background=0)


def _class_map(config: DataConfig, classes: ClassFile, values: Mapping[int, int], ignored: set[int]) -> ClassMap:
    """The class map of these classes, from the id of each stored value."""
    indices = {value: classes.ids.index(id_) for value, id_ in values.items()} | dict.fromkeys(ignored, IGNORE_INDEX)
    other = classes.ids.index(config.map["other"]) if config.map.get("other") in classes.ids else None
    return ClassMap(classes.names, classes.colors, classes.ids, indices, _background(config, classes), other)


def _numbered(config: DataConfig) -> dict[int, int]:
    """Stored value -> class id, as `--map` gives them one by one."""
    return {value: id_ for value, id_ in config.map.items() if value != "other"}


def _fits_most(declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> bool:
    """Whether more than half of the masks hold declared ids and nothing else."""
    known = {*declared.ids, IGNORED_VALUE} if declared else set()
    return 2 * sum({*gray_values(facts)} <= known for facts in masks.values()) > len(masks)


def _are_binary(config: DataConfig, declared: ClassFile | None, masks: Mapping[str, MaskFacts]) -> bool:
    """Whether 0 and 255 mean 0 and 1 because nothing is said about them and nine masks of ten hold nothing else.

    Masks that are all 0 do not count; the tenth is a mistake, not a reason to read the nine otherwise.
    """
    countable = 0 if declared is None else len(set(declared.ids) - set(declared.ignored))
    if _numbered(config) or countable > 2 or IGNORED_VALUE in (declared.ids if declared else ()):
        return False
    shown = [{*gray_values(facts)} - {0, *config.ignore} for facts in masks.values()]
    shown = [values for values in shown if values]
    return bool(shown) and sum(values == {IGNORED_VALUE} for values in shown) >= 0.9 * len(shown)


def _ignored(config: DataConfig, declared: ClassFile | None, mapped: Mapping[int, int]) -> set[int]:
    """Stored values that are not counted; what is mapped to a class counts."""
    default = () if declared is not None and IGNORED_VALUE in declared.ids else (IGNORED_VALUE,)
    return {*config.ignore, *(declared.ignored if declared else ()), *default} - mapped.keys()


def _without(declared: ClassFile, ignored: set[int]) -> ClassFile:
    """The declared classes that count."""
    if set(declared.ids) <= ignored:
        raise UsageError(f"{declared.source} names no class that counts; give at least one besides void and --ignore")
    return declared.without([name for id_, name in zip(declared.ids, declared.names, strict=True) if id_ in ignored])


def _inferred(config: DataConfig, ids: set[int]) -> ClassFile:
    """The classes 0, 1, 2, ... up to the first gap, which `--map` must not make."""
    count = next(id_ for id_ in range(len(ids) + 1) if id_ not in ids)
    above = ",".join(f"{value}={id_}" for value, id_ in config.map.items() if id_ > count)
    if above:
        raise UsageError(
            f"--map {above}: no mask value becomes the class {count}, and class ids are 0, 1, 2, ... without gaps; "
            "map to the lowest free ids, or declare the classes that are absent with --classes FILE|NAMES"
        )
    background = 0 if config.background is None else config.background
    other = "foreground" if count == 2 and background in (0, 1) else "class {}"
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
        allowed = list_classes(classes)
        raise UsageError(f"--background {config.background}: there is no such class; allowed: {allowed}, or none")
    return None


def _require_targets(config: DataConfig, classes: ClassFile) -> None:
    wrong = [f"{value}={id_}" for value, id_ in config.map.items() if id_ not in classes.ids]
    if wrong:
        raise UsageError(f"--map {','.join(wrong)}: there is no such class; allowed: {list_classes(classes)}")


def _ignored_note(declared: ClassFile | None, values: set[int]) -> list[str]:
    names = dict(zip(declared.ids, declared.names, strict=True)) if declared else {}
    listed = ", ".join(f"{names[value]} ({value})" if value in names else str(value) for value in sorted(values))
    return [f"not counted: {listed}"] if listed else []
