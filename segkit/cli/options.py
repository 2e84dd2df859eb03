"""Options that mean the same in every command, and the small parsers of their values."""

from __future__ import annotations

import math
import re
import shlex
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from segkit.errors import UsageError

TASKS = ("segment", "instances", "detect", "classify")
"""As of `segkit.structures`, which takes numpy's time to import."""

DATA = "Data"
"""Help panel of the options that say how a data set is read."""

Data = Annotated[
    Path, typer.Argument(help="Folder of images and masks, a table (CSV), or one folder of images per class.")
]
Model = Annotated[str, typer.Argument(help="Model file, run folder, or a name from weights/.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Precision = Annotated[
    Literal["fp32", "bf16"] | None,
    typer.Option(help="fp32 or bf16; by default the model's own where the machine has it."),
]
AnyPrecision = Annotated[
    Literal["fp32", "bf16", "fp16", "int8"] | None,
    typer.Option(
        help="fp32 or bf16, or what a file was exported in; by default the model's own where the machine has it."
    ),
]
Engine = Annotated[
    Literal["auto", "torch", "onnxruntime", "openvino"],
    typer.Option(help="What computes: torch a model file, the others an exported one; auto takes the fastest."),
]
Task = Annotated[
    Literal["segment", "instances", "detect", "classify"] | None,
    typer.Option(help="What is learnt: masks, objects one by one, boxes or labels; by default from the data."),
]
Head = Annotated[
    Literal["segment", "instances", "detect", "classify"] | None,
    typer.Option(help="Of several heads the one that is meant; by default all."),
]
Tta = Annotated[
    Literal["flips", "d4", "scales"] | None,
    typer.Option(
        help="Mean over views of every image: flips (mirrored left to right), d4 (the eight ways to lay down a "
        "square), scales (three sizes)."
    ),
]
Models = Annotated[
    list[str], typer.Argument(help="Model file, run folder, or a name from weights/; of several the mean is taken.")
]
Heads = Annotated[str | None, typer.Option(help="Several tasks at once, as segment,classify,detect.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output and nothing else there.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")]

Format = Annotated[
    str | None, typer.Option("--format", help="Data format; by default recognised.", rich_help_panel=DATA)
]
Classes = Annotated[
    str | None, typer.Option(help="Class file, or names in the order of their ids: sky,road,car.", rich_help_panel=DATA)
]
ValueMap = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="Mask value to class id, as 128=1,255=2; other=1 is every other value but 0.",
        rich_help_panel=DATA,
    ),
]
Ignore = Annotated[str | None, typer.Option(help="Mask values not counted, as 255,11.", rich_help_panel=DATA)]
Background = Annotated[str | None, typer.Option(help="Class id of the background, or none.", rich_help_panel=DATA)]
Channels = Annotated[str | None, typer.Option(help="Convert every image to gray or rgb.", rich_help_panel=DATA)]
ChannelNames = Annotated[
    str | None, typer.Option(help="What the channels show, as red,green,blue,nir.", rich_help_panel=DATA)
]
Axis = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=2,
        help="Axis that volumes are read slice by slice along; by default that of the largest spacing, else the last.",
        rich_help_panel=DATA,
    ),
]
Allow = Annotated[
    list[str] | None, typer.Option(help="Code of a check error to go on with; recorded.", rich_help_panel=DATA)
]
Split = Annotated[str | None, typer.Option(help="Split file (id,split), or shares as 70/15/15.", rich_help_panel=DATA)]
GroupBy = Annotated[
    str | None,
    typer.Option(help="Images that stay together: a table column, or a regular expression.", rich_help_panel=DATA),
]
Stratify = Annotated[
    str | None,
    typer.Option(
        help="A table's column whose values every part gets its share of; by default the classes.", rich_help_panel=DATA
    ),
]


def typed(context: typer.Context, besides: Collection[str]) -> str:
    """The options as they were typed, but for the parameters `besides`, to be typed again in another command."""
    words: list[str] = []
    for option in context.command.params:
        given = context.params.get(option.name or "")
        if option.param_type_name == "option" and option.name not in besides and given is not None:
            values = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
            words += [word for value in values for word in (option.opts[0], str(value))]
    return shlex.join(words)


def image_on_disk(path: Path | None) -> Path | None:
    """The path of an image, which may lie in a file of many; raises `UsageError` where there is no such file."""
    from segkit.data.readers._base import file_on_disk

    if path is not None and not file_on_disk(path).is_file():
        raise UsageError(f"the image {path} does not exist or is no file; name an image file")
    return path


Image = Annotated[Path, typer.Argument(callback=image_on_disk, help="Image file.")]


def data_settings(
    *,
    format_name: str | None = None,
    classes: str | None = None,
    value_map: list[str] | None = None,
    ignore: str | None = None,
    background: str | None = None,
    channels: str | None = None,
    channel_names: str | None = None,
    axis: int | None = None,
    allow: list[str] | None = None,
    split: str | None = None,
    group_by: str | None = None,
    stratify: str | None = None,
) -> dict[str, Any]:
    """The `data` settings as given on the command line; what was not given is left out."""
    given = {
        "format": format_name,
        "classes": None if classes is None else parse_classes(classes),
        "map": parse_map(value_map) if value_map else None,
        "ignore": None if ignore is None else parse_integers(ignore, "--ignore"),
        "background": None if background is None else parse_background(background),
        "channels": channels,
        "channel_names": None if channel_names is None else parse_names(channel_names),
        "axis": axis,
        "allow": tuple(allow) if allow else None,
        "split": None if split is None else parse_split(split),
        "group_by": group_by,
        "stratify": stratify,
    }
    return {key: value for key, value in given.items() if value is not None}


def parse_classes(text: str) -> Path | tuple[str, ...]:
    """A class file when the path exists or looks like one, else names separated by commas."""
    path = Path(text)
    if text and (path.suffix in {".csv", ".txt", ".json", ".yaml"} or path.exists()):
        return path
    return parse_names(text)


def parse_names(text: str) -> tuple[str, ...]:
    """`"red, nir"` to `("red", "nir")`."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def parse_map(items: list[str]) -> dict[int | str, int]:
    """`["128=1", "200=2,other=0"]` to `{128: 1, 200: 2, "other": 0}`; every value has one class."""
    given = ",".join(items)
    try:
        parts = [pair.split("=") for pair in given.split(",")]
        pairs = [(value if value == "other" else int(value), int(index)) for value, index in parts]
    except ValueError:
        raise UsageError(f"--map {given}: expected mask value = class id, for example --map 128=1,255=2") from None
    repeated = [value for value, count in Counter(value for value, _ in pairs).items() if count > 1]
    if repeated:
        raise UsageError(f"--map {given}: the mask value {repeated[0]} is given twice; give it one class")
    return dict(pairs)


def parse_heads(text: str | None) -> Any:
    """`"segment,classify"` to the tasks; None, or an empty text, to None."""
    if not text:
        return None
    heads = tuple(part.strip() for part in text.split(","))
    unknown = [head for head in heads if head not in TASKS]
    if unknown:
        raise UsageError(f"--heads {text}: {unknown[0]!r} is no task; allowed are {', '.join(TASKS)}")
    return heads


def parse_head_weights(items: list[str] | None) -> Any:
    """`["detect=2"]` to weights by head."""
    return parse_assignments(items, "--head-weight")


def parse_integers(text: str, option: str) -> tuple[int, ...]:
    """`"255,11"` to `(255, 11)`."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} {text}: expected whole numbers with commas, for example {option} 255,11") from None


def parse_background(text: str) -> int | str:
    """A class id, or `"none"`."""
    if text == "none":
        return text
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--background {text}: expected one class id, as 0, or none") from None


def parse_split(text: str) -> Path | tuple[float, float, float]:
    """`"70/15/15"` to shares; anything else is the path of a split file."""
    parts = text.split("/")
    if len(parts) == 3 and all(part.replace(".", "", 1).isdigit() for part in parts):
        train, val, test = (float(part) for part in parts)
        whole = train + val + test
        if not any(math.isclose(whole, full) for full in (1, 100)):
            raise UsageError(f"--split {text}: the shares of train/val/test add up to 100, for example 70/15/15")
        if train == 0 or val == 0:
            raise UsageError(f"--split {text}: train and val need shares above 0, for example 70/15/15 or 80/20/0")
        return train / whole, val / whole, test / whole
    if not text:
        raise UsageError("--split '': expected a split file, or shares such as 70/15/15")
    return Path(text)


def parse_assignments(items: list[str] | None, option: str) -> dict[str, Any]:
    """`["width=24", "upsample=transposed"]` to values of the types they look like; `auto` is the same as not given.

    Reads what `segkit models` prints: true/false, whole numbers, numbers, several whole numbers as `12x24x36`, text.
    """
    pairs = [pair.split("=", 1) for item in items or [] for pair in item.split(",")]
    if any(len(pair) != 2 for pair in pairs):
        raise UsageError(f"{option} {' '.join(items or [])}: expected name=value, for example {option} width=24")
    stripped = ((name.strip(), value.strip()) for name, value in pairs)
    return {name: _typed(value) for name, value in stripped if value != "auto"}


def _typed(text: str) -> bool | int | float | str | tuple[int, ...]:
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if re.fullmatch(r"\d+(x\d+)+", text):
        return tuple(map(int, text.split("x")))
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def parse_class_weights(text: str) -> Literal["balanced"] | tuple[float, ...]:
    """`"balanced"`, or one number per class: `"1,5,2"`."""
    if text == "balanced":
        return "balanced"
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--class-weights {text}: expected 'balanced' or one number per class, as 1,5,2") from None
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise UsageError(f"--class-weights {text}: every weight is a number above 0, as 1,5,2")
    return weights
