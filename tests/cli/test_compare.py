from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Ends
from tests.evaluation.test_compare import rows, write_rows


def test_table_json_and_refusal(segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write_rows(tmp_path / "a", rows([0.5, 0.6, 0.7]))
    b = write_rows(tmp_path / "b", rows([0.6, 0.7, 0.9]))
    assert segkit("compare", a, b) == 0
    said = capsys.readouterr().out.splitlines()
    assert "the same 3 images; 3 units shared, the unit is the image" in said
    assert any(line.split() == ["dice", "0.600", "0.733", "+0.133", "0.2500", "3"] for line in said)
    assert segkit("compare", a, b, "--json") == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["run_a"], plain["units"], plain["differences"][0]["p"]) == (str(a), 3, 0.25)
    fewer = write_rows(tmp_path / "fewer", rows([0.6, 0.7]))
    assert segkit("compare", a, fewer) == 2
    assert "different images: 2 units with 2 images shared, 1 only in the first" in capsys.readouterr().err
