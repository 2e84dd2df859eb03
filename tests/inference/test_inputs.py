"""Every way of naming images gives the images, and naming none is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.errors import UsageError
from segkit.inference.inputs import expand_inputs


@pytest.fixture
def scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with images on two levels and files that are none, as the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.PNG", "a.tif", "sub/c.png", "notes.md", "._a.tif", "deep/er/d.jpg"):
        file = tmp_path / "scans" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return Path("scans")


def test_folder_gives_the_images_directly_in_it(scans: Path) -> None:
    assert expand_inputs(["scans"]) == [scans / "a.tif", scans / "b.PNG"]


def test_folder_gives_dicom_files_without_a_suffix(scans: Path) -> None:
    for name in ("IM0001", "1.2.840.1", "DICOMDIR", "._IM0001"):
        (scans / name).write_bytes(b"\0" * 128 + b"DICM")
    assert expand_inputs(["scans"]) == [scans / name for name in ("1.2.840.1", "IM0001", "a.tif", "b.PNG")]


def test_patterns(scans: Path) -> None:
    assert expand_inputs(["scans/*.tif"]) == [scans / "a.tif"]
    assert expand_inputs(["scans/**/*"]) == [scans / name for name in ("a.tif", "b.PNG", "deep/er/d.jpg", "sub/c.png")]
    assert expand_inputs([str(scans.resolve() / "*" / "c.png")]) == [scans.resolve() / "sub" / "c.png"]


def test_file_that_looks_like_a_pattern(scans: Path) -> None:
    (scans / "frame[1].png").touch()
    assert expand_inputs(["scans/frame[1].png"]) == [scans / "frame[1].png"]


def test_list_is_relative_to_itself(scans: Path) -> None:
    (scans / "list.txt").write_text(f"sub/c.png\n\n  a.tif  \n{(scans / 'b.PNG').resolve()}\n")
    assert expand_inputs(["scans/list.txt"]) == [scans / "sub/c.png", scans / "a.tif", (scans / "b.PNG").resolve()]


def test_each_file_once_in_the_order_given(scans: Path) -> None:
    given: list[str | Path] = ["scans/sub/c.png", "scans", scans / "sub" / ".." / "a.tif", scans.resolve() / "b.PNG"]
    assert expand_inputs(given) == [scans / "sub/c.png", scans / "a.tif", scans / "b.PNG"]


def test_named_file_of_any_kind_is_taken(scans: Path) -> None:
    assert expand_inputs(["scans/notes.md"]) == [scans / "notes.md"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("scans/a.tiff", r"scans/a.tiff does not exist; name an image, folder, .* Did you mean 'a.tif'\?"),
        ("", "an input is empty, as a shell variable that was not set; name an image, folder or pattern"),
        ("nowhere/at/all", r"nowhere/at/all does not exist; name an image, folder, pattern or .txt list\.$"),
        ("scans/*.bmp", r"the pattern 'scans/\*.bmp' matches no image; read are .*\.png"),
        ("empty", r"empty holds no images; read are .*\.png"),
        ("scans/deep", r"images only in sub-folders; name them by a pattern: 'scans/deep/\*\*/\*.png'"),
        ("blank.txt", "the list blank.txt names no image; expected one per line"),
        ("wrong.txt", r"wrong.txt lists x.png and 1 more, not to be found; lines are relative to the list's folder"),
        ("binary.txt", "cannot read the list binary.txt: .*; expected text, one image per line"),
    ],
)
def test_names_that_lead_to_nothing(scans: Path, given: str, message: str) -> None:
    Path("empty").mkdir()
    Path("blank.txt").write_text("\n \n")
    Path("wrong.txt").write_text("x.png\nscans/a.tif\ny.png")
    Path("binary.txt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match=message):
        expand_inputs(["scans", given])
