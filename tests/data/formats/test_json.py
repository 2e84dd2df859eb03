"""JSON of annotation tools: right content, or one error that names the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.data.formats._json import as_whole, is_number, is_whole, objects_in, read_json, read_json_object
from segkit.errors import UnreadableFileError


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "marks.json"
    path.write_bytes(content)
    return path


def test_content_comes_back_with_and_without_byte_order_mark(tmp_path: Path) -> None:
    assert read_json(written(tmp_path, '{"name": "Zelle ä"}'.encode())) == {"name": "Zelle ä"}
    assert read_json(written(tmp_path, '["ä"]'.encode("utf-8-sig"))) == ["ä"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": [1,', r"no JSON \(line 1"),
        (b"\xff\xfe{\x00", "no UTF-8 text"),
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON of an annotation tool"),
        (b"1" * 5000, "no JSON of an annotation tool"),
    ],
)
def test_what_is_no_json_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableFileError, match=rf"marks\.json.*{reason}"):
        read_json(written(tmp_path, content))


def test_a_missing_file_and_one_that_is_too_large_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnreadableFileError, match=r"gone\.json: No such file"):
        read_json(tmp_path / "gone.json")
    monkeypatch.setattr("segkit.data.formats._json.MAX_BYTES", 3)
    with pytest.raises(UnreadableFileError, match="more than 3 bytes; cut it"):
        read_json(written(tmp_path, b"[1, 2]"))


def test_other_shapes_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, b"[1]")
    with pytest.raises(UnreadableFileError, match="holds a list, and a JSON object"):
        read_json_object(path)
    with pytest.raises(UnreadableFileError, match="lacks 'images'"):
        objects_in(path, {}, "images")
    with pytest.raises(UnreadableFileError, match="'images' is null, and a list"):
        objects_in(path, {"images": None}, "images")
    with pytest.raises(UnreadableFileError, match="entry 1 of 'images' is a number"):
        objects_in(path, {"images": [{}, 3]}, "images")


def test_numbers_are_finite_and_neither_true_nor_text() -> None:
    assert [value for value in (1, -2.5, True, "1", None, float("nan"), float("inf"), 10**400) if is_number(value)] == [
        1,
        -2.5,
    ]
    assert [value for value in (3, 3.0, 3.5, -1, True) if is_whole(value)] == [3, 3.0, -1]


def test_whole_numbers_are_read_however_they_are_written() -> None:
    assert [as_whole(value) for value in (3, 3.0, "3", "-3", "0", 10**40)] == [3, 3, 3, -3, 0, 10**40]
    others = (3.5, "3.0", "03", "", "٣", "1" * 400, True, None, float("nan"), float("inf"), [3])
    assert [value for value in others if as_whole(value) is not None] == []
