"""Annotation files in XML, read so that no file can do harm: no document type, no entities, nothing without bound."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from segkit.errors import UnreadableFileError

MAX_BYTES = 2**28
"""Largest XML file that is read, 256 MiB: some million boxes."""

MAX_ELEMENTS = 2_000_000
MAX_DEPTH = 64

_CHUNK = 2**16
_HEAD = 4096


def read_xml(path: Path, root: str) -> Element:
    """The tree of an XML file.

    A document type declaration is refused, and with it every entity but XML's own five: neither files nor memory can be
    reached through it.

    Args:
        path: the file.
        root: name that its outermost element must have.

    Raises:
        UnreadableFileError: missing, too large, no XML, with a document type, or of another outermost element.
    """
    tree = _Tree(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnreadableFileError(path, f"it is larger than {MAX_BYTES >> 20} MiB; export the data in parts")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                tree.parser.Parse(chunk, False)
        tree.parser.Parse(b"", True)
    except OSError as error:
        raise UnreadableFileError(path, (error.strerror or str(error)).lower()) from None
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two for encodings
        raise UnreadableFileError(path, f"it is no XML, or cut short ({error}); export it again") from None
    element = tree.builder.close()
    if element.tag != root:
        raise UnreadableFileError(path, f"its outermost element is <{element.tag}>; expected <{root}>")
    return element


def begins_with(path: Path, element: str) -> bool:
    """Whether the outermost element of an XML file has this name, judged by its first characters."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    found: list[str] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda name, _: found.append(name)
    with suppress(expat.ExpatError, ValueError, LookupError):  # what came before the mistake tells
        parser.Parse(head, False)
    return found[:1] == [element]


class _Tree:
    """expat's events turned into a tree, within bounds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.builder = TreeBuilder()
        self.elements = self.depth = 0
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._refuse_document_type
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.builder.data

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        self.depth += 1
        if self.elements > MAX_ELEMENTS:
            raise UnreadableFileError(self.path, f"it holds more than {MAX_ELEMENTS:,} elements; export it in parts")
        if self.depth > MAX_DEPTH:
            raise UnreadableFileError(self.path, f"its elements are nested deeper than {MAX_DEPTH}; export it again")
        self.builder.start(name, attributes)

    def _end(self, name: str) -> None:
        self.depth -= 1
        self.builder.end(name)

    def _refuse_document_type(self, *_: object) -> None:
        raise UnreadableFileError(
            self.path, "it declares a document type (<!DOCTYPE ...>), which no annotation needs; take that line out"
        )
