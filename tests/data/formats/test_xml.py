"""XML that is damaged, hostile or something else: always one line with the file's name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from segkit.data.formats import _xml
from segkit.data.formats._xml import begins_with, read_xml
from segkit.errors import UnreadableFileError

LAUGHS = "".join(f'<!ENTITY x{n} "{f"&x{n - 1};" * 10}">' for n in range(1, 10))
BILLION_LAUGHS = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x0 "ha">{LAUGHS}]><a>&x9;</a>'
EXTERNAL_ENTITY = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
EXTERNAL_DOCUMENT_TYPE = '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>'


def written(folder: Path, text: str) -> Path:
    path = folder / "a.xml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_tree_of_elements_attributes_and_text(tmp_path: Path) -> None:
    root = read_xml(written(tmp_path, '<?xml version="1.0"?><a><b c="1&amp;2">x &lt; y</b><!-- d --></a>'), "a")
    assert [(one.tag, one.attrib, one.text) for one in root.iter()] == [
        ("a", {}, None),
        ("b", {"c": "1&2"}, "x < y"),
    ]


@pytest.mark.parametrize("text", [BILLION_LAUGHS, EXTERNAL_ENTITY, EXTERNAL_DOCUMENT_TYPE])
def test_document_types_and_their_entities_are_refused_at_once(tmp_path: Path, text: str) -> None:
    start = time.monotonic()
    with pytest.raises(UnreadableFileError, match=r"a\.xml: it declares a document type .*; take that line out$"):
        read_xml(written(tmp_path, text), "a")
    assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is no XML, or cut short .no element found"),
        ("<a><b></b>", "it is no XML, or cut short .no element found"),
        ("<a>&unknown;</a>", "it is no XML, or cut short .undefined entity"),
        ('{"a": 1}', "it is no XML, or cut short .not well-formed"),
        ('<?xml version="1.0" encoding="nothing"?><a/>', "it is no XML, or cut short .unknown encoding"),
        ('<?xml version="1.0" encoding="gbk"?><a/>', "multi-byte encodings are not supported"),
        ("<a>" * 100, "nested deeper than 64"),
        ("<b/>", "its outermost element is <b>; expected <a>"),
    ],
)
def test_damaged_files_are_named_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UnreadableFileError, match=rf"^cannot read .*a\.xml: .*{message}") as caught:
        read_xml(written(tmp_path, text), "a")
    assert "\n" not in str(caught.value)


def test_files_without_bound_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "<a>" + "<b/>" * 40 + "</a>")
    monkeypatch.setattr(_xml, "MAX_ELEMENTS", 30)
    with pytest.raises(UnreadableFileError, match="more than 30 elements"):
        read_xml(path, "a")
    monkeypatch.setattr(_xml, "MAX_BYTES", 100)
    with pytest.raises(UnreadableFileError, match="it is larger than 0 MiB"):
        read_xml(path, "a")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="no such file"):
        read_xml(tmp_path / "none.xml", "a")
    with pytest.raises(UnreadableFileError, match="is a directory"):
        read_xml(tmp_path, "a")


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ('<?xml version="1.0"?>\n<!-- x -->\n<annotation verified="yes">' + "<b>" * 5000, True),
        ("<annotations/>", False),
        ("<annotation", False),
        ("\x00", False),
    ],
)
def test_the_first_element_tells_what_a_file_is(tmp_path: Path, text: str, begins: bool) -> None:
    assert begins_with(written(tmp_path, text), "annotation") is begins
