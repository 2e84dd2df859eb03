"""`convert`: a data set in another layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from segkit.data.config import DataConfig
from segkit.data.convert import Conversion, convert_dataset, refuse_other_content
from segkit.data.formats._writing import WRITERS
from segkit.experiment.console import Teller
from segkit.experiment.flags import flags_of
from segkit.experiment.opening import open_aloud
from segkit.ops.words import counted
from segkit.structures import TaskName


def convert(
    data: str | Path,
    output: str | Path,
    to: str,
    *,
    task: TaskName | None = None,
    quiet: bool = False,
    format: str | None = None,  # noqa: A002, the word of the command line
    classes: Path | Sequence[str] | None = None,
    map: Mapping[int | Literal["other"], int] | None = None,  # noqa: A002
    ignore: Sequence[int] = (),
    background: int | Literal["none"] | None = None,
    axis: int | None = None,
    allow: Sequence[str] = (),
    split: str | Path | tuple[float, float, float] | None = None,
    group_by: str | None = None,
) -> Conversion:
    """Write a data set in another layout, losslessly where the layout can hold it, and say what it cannot.

    Images are copied byte by byte where the layout takes their files; slices of volumes, images of idx files and those
    in several files become files of their own. Images that cannot be used are refused, or left out with `allow`.

    Args:
        data: folder or table.
        output: the folder to write, new or empty; it appears when everything is written.
        to: `mask-folder`, `coco`, `yolo`, `voc` or `nnunet`.
        task: which targets to write where the data has several; masks come before boxes.
        quiet: print nothing.
        format: data format; recognised where None.
        classes: class file, or names in the order of their ids.
        map: mask values to class ids; `other` for masks that number objects.
        ignore: mask values that are not counted.
        background: class id of the background, or `none`.
        axis: along which volumes are cut into slices.
        allow: codes of check errors to go on with.
        split: split file, or shares of train, val and test; without it the parts that the data states are written.
        group_by: a table column or regular expression: images that stay together.

    Returns:
        What was written; `losses` says what the layout cannot hold.

    Raises:
        UsageError: a wrong argument, a layout for targets of another task, or a folder that is not empty.
        DataError: a data set with errors, or no image that the layout can hold.
        OutputError: the folder cannot be written.
    """
    WRITERS.get(to)
    refuse_other_content(Path(output))  # both before the data is read, which may take minutes
    given = {
        "format": format,
        "classes": classes,
        "map": map or {},
        "ignore": tuple(ignore),
        "background": background,
        "axis": axis,
        "allow": tuple(allow),
        "split": split,
        "group_by": group_by,
    }
    settings = DataConfig.parse(
        {key: value for key, value in given.items() if value is not None}, "options", flags_of(given)
    )
    teller = Teller(quiet)
    dataset = open_aloud(data, settings, teller, task=task)
    with teller.progress("writing") as advance:
        conversion = convert_dataset(dataset, output, to, advance)
    images = counted(len(conversion.source.records), "image")
    teller.tell(*(f"lost: {loss}" for loss in conversion.losses), f"{images} of {data} written as {to} in {output}")
    return conversion
