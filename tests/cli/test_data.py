"""`segkit data` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.data.catalogue import catalogue

Ends = Callable[..., int]


def test_the_list_names_every_set_with_its_licence(segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("data", "list") == 0
    shown = capsys.readouterr().out
    for name, entry in catalogue().items():
        assert name in shown
        assert entry.licence in shown


def test_the_list_is_one_json_document(segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("data", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed.keys() == catalogue().keys()
    assert listed["camvid"]["images"] == {"train": 367, "val": 101, "test": 233}


def test_a_set_from_a_local_copy_says_its_licence_first(
    segkit: Ends, datasets: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert segkit("data", "get", "isbi2012-em", "--from", datasets("isbi2012_em"), "-o", tmp_path / "em") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("licence: released for generating or testing non-commercial")
    assert lines[-1] == f"30 images in {tmp_path}/em; try: segkit check {tmp_path}/em"
    assert segkit("check", tmp_path / "em") == 0


def test_an_unknown_set_is_wrong_usage(segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("data", "get", "minst") == 2
    assert "there is no public data set 'minst' in the catalogue. Did you mean 'mnist'?" in capsys.readouterr().err
