"""Split files: what they may look like, and which records their names mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.data.split_files import assign_parts, read_split_file
from segkit.errors import UsageError
from segkit.structures import Record


def test_names_are_ids_or_files_of_images() -> None:
    """A suffix is cut off where it is an image's and the whole name is no id."""
    records = [Record(id_, Path(f"{id_}.png")) for id_ in ("a", "b.png", "frame.0", "frame")]
    parts = {"a.TIF": "train", "b.png": "val", "frame.0": "test", "frame.1": "train", "lost.png": "train"}
    assigned = assign_parts(records, parts.items(), unused=["lost"])
    assert [record.split for record in assigned.records] == ["train", "val", "test", None]
    assert assigned.unknown == ("frame.1",)
    (found,) = assigned.findings("split.csv", records)
    assert found.message == (
        "split.csv names 1 id that no image has, for example 'frame.1'; ids are image names without suffix. "
        "Did you mean 'frame.0'?"
    )
    assert list(assign_parts(records, [("a", "train")]).findings("split.csv", records)) == []


def test_ids_named_more_than_once_are_a_finding_and_the_first_part_counts() -> None:
    """Also where two names mean one image."""
    records = [Record(id_, Path(f"{id_}.png")) for id_ in "abc"]
    assigned = assign_parts(records, [("b", "val"), ("a", "train"), ("b.png", "test"), ("c", "test"), ("c", "test")])
    assert [record.split for record in assigned.records] == ["train", "val", "test"]
    (found,) = assigned.findings("split.csv", records)
    assert (found.code, found.files) == ("repeated-split-id", ("b", "c"))
    assert found.message == "split.csv names 2 ids more than once, for example 'b' (val, test); name each once"


def test_a_missing_split_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the table .*none\.csv: No such file"):
        read_split_file(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"cannot read the split file .*none\.json: No such file"):
        read_split_file(tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[1, 2]")
    with pytest.raises(UsageError, match="needs a list of ids for each of train, val and test"):
        read_split_file(tmp_path / "list.json")
