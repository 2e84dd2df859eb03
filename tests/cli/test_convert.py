"""`segkit convert` on the command line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.data.formats._base import FORMATS
from segkit.data.formats._writing import WRITERS

Ends = Callable[..., int]


def test_a_table_becomes_a_mask_folder(segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    FORMATS.get("table")().example(tmp_path / "data")
    assert segkit("convert", tmp_path / "data", tmp_path / "out", "--to", "mask-folder") == 0
    assert capsys.readouterr().out.endswith(f"6 images of {tmp_path}/data written as mask-folder in {tmp_path}/out\n")
    assert (tmp_path / "out/groups.csv").read_text().startswith("id,group\nscans_0,patient0\n")
    assert segkit("check", tmp_path / "out") == 0


def test_a_layout_that_does_not_exist_is_wrong_usage(
    segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segkit("convert", tmp_path, tmp_path / "out", "--to", "mask-folders") == 2
    assert "unknown layout to write 'mask-folders'. Did you mean 'mask-folder'?" in capsys.readouterr().err


def test_the_help_names_every_layout(segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("convert", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(layout in shown for layout in WRITERS)
