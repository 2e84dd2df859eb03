"""What results of files are called."""

from __future__ import annotations

from collections.abc import Sequence
from os.path import commonpath
from pathlib import Path

from segkit.data.readers._base import cut_suffix


def paths_below(files: Sequence[Path]) -> dict[Path, str]:
    """The path of each file below the folder that all of them have in common, with forward slashes."""
    if not files:
        return {}
    root = Path(commonpath([file.absolute().parent for file in files]))
    return {file: file.absolute().relative_to(root).as_posix() for file in files}


def output_names(files: Sequence[Path]) -> dict[Path, str]:
    """Names for results, one rule for all files: the stem; where stems repeat the path below the files' common folder
    without suffix; where these repeat too the path with suffix. Case does not tell names apart, as on some disks."""
    below = list(paths_below(files).values())
    rules = [[cut_suffix(Path(path).name)[0] for path in below], [cut_suffix(path)[0] for path in below]]
    names = next((names for names in rules if len({name.casefold() for name in names}) == len(files)), below)
    return dict(zip(files, names, strict=True))
