"""How findings name files."""

from __future__ import annotations

from pathlib import Path

from segkit.data.findings import shown


def test_files_are_told_from_the_data_sets_folder(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.touch()
    for root in (tmp_path, table):
        assert shown(tmp_path / "images" / "a.png", root) == "images/a.png"
        assert shown(Path("/elsewhere/a.png"), root) == "/elsewhere/a.png"
