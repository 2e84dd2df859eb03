"""How findings name files."""

from __future__ import annotations

from pathlib import Path

from segkit.data.findings import shown, slices_joined


def test_files_are_told_from_the_data_sets_folder(tmp_path: Path) -> None:
    table = tmp_path / "data.csv"
    table.touch()
    for root in (tmp_path, table):
        assert shown(tmp_path / "images" / "a.png", root) == "images/a.png"
        assert shown(Path("/elsewhere/a.png"), root) == "/elsewhere/a.png"


def test_slices_of_one_volume_are_one_line() -> None:
    slices = [f"scans/a.nii.gz/2/{number:03}.slice" for number in (0, 1, 7)]
    files = ["flat.png", *slices, "scans/b.nii.gz/2/004.slice"]
    assert slices_joined(files) == [
        "flat.png",
        "scans/a.nii.gz/2/000.slice to 007.slice (3 slices)",
        "scans/b.nii.gz/2/004.slice",
    ]
