"""Write the generated parts of docs/data.md anew: every layout with its example, and the public sets.

    python -m benchmarks.data_page [--check]

The page holds `<!-- layouts -->` ... `<!-- end -->`, and `<!-- public sets -->` likewise; what stands between is
replaced. `--check` writes nothing and fails where the page is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from segkit.data.catalogue import catalogue
from segkit.data.formats._base import FORMATS
from segkit.data.formats._writing import WRITERS
from segkit.ops.files import write_atomically

PAGE = Path(__file__).parents[1] / "docs" / "data.md"

_FIRST = ("mask-folder", "table", "image-folder", "idx")
_TEXT = {".csv", ".tsv", ".txt", ".json", ".xml", ".yaml", ".yml"}
_SHOWN_NAMES = 4
_SHOWN_LINES = 24
_WIDTH = 110
_JSON_WIDTH = 240
_PART = re.compile(r"(<!-- (layouts|public sets) -->\n).*?(<!-- end -->)", re.DOTALL)


def layouts() -> str:
    """Every format with what it is, the files of its example and the heads of those that are text."""
    rest = sorted(name for name in FORMATS if name not in _FIRST)
    return "\n".join(_layout(name) for name in (*_FIRST, *rest))


def public_sets() -> str:
    """The catalogue as a table."""
    lines = ["| name | data | task | images | licence |", "| --- | --- | --- | --- | --- |"]
    for name, entry in catalogue().items():
        images = " / ".join(f"{number:,} {part}" for part, number in entry.images.items())
        lines.append(f"| `{name}` | [{entry.title}]({entry.page}) | {entry.task} | {images} | {entry.licence} |")
    return "\n".join(lines) + "\n"


def current_page(page: str) -> str:
    """The page with its generated parts as they should be."""
    parts = {"layouts": layouts, "public sets": public_sets}
    return _PART.sub(lambda found: f"{found[1]}\n{parts[found[2]]()}\n{found[3]}", page)


def _layout(name: str) -> str:
    format_class = FORMATS.get(name)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "example")
        format_class().example(root)
        files = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
        heads = "\n".join(_heads(root, files))
    written = ", can be written" if name in WRITERS else ""
    about = inspect.cleandoc(format_class.__doc__ or "")
    return f"### {name}{written}\n\n{about}\n\n```\n{_tree(files)}```\n\n{heads}"


def _tree(files: list[Path]) -> str:
    """One line per folder with the names of its first files."""
    by_folder: defaultdict[Path, list[str]] = defaultdict(list)
    for file in files:
        by_folder[file.parent].append(file.name)
    width = max(len(_folder_name(folder)) for folder in by_folder)
    return "".join(f"{_folder_name(folder):<{width}}  {_names(by_folder[folder])}\n" for folder in sorted(by_folder))


def _folder_name(folder: Path) -> str:
    return "./" if folder == Path() else f"{folder.as_posix()}/"


def _names(names: list[str]) -> str:
    more = len(names) - _SHOWN_NAMES
    return "  ".join(names[:_SHOWN_NAMES]) + (f"  and {more} more" if more > 0 else "")


def _heads(root: Path, files: list[Path]) -> Iterator[str]:
    """The first lines of text files, one of each folder and suffix, but for tables, whose columns differ."""
    seen: set[tuple[Path, str]] = set()
    for file in files:
        kind = (file.parent, file.name if file.suffix == ".csv" else file.suffix)
        if file.suffix not in _TEXT or kind in seen:
            continue
        seen.add(kind)
        text = (root / file).read_text(encoding="utf-8")
        lines, width = (_json_lines(text), _JSON_WIDTH) if file.suffix == ".json" else (text.splitlines(), _WIDTH)
        shown = [line if len(line) <= width else f"{line[:width]} …" for line in lines[:_SHOWN_LINES]]
        rest = ["…"] if len(lines) > _SHOWN_LINES else []
        yield f"`{file.as_posix()}`\n\n```\n" + "\n".join([*shown, *rest]) + "\n```\n"


def _json_lines(text: str) -> list[str]:
    """One line per key of a JSON object, or per entry of a list; of lists of objects the first alone."""
    content = json.loads(text)
    if isinstance(content, list):
        return ["[", *_json_lines(json.dumps(content[0])), "…", "]"] if content else ["[]"]
    lines = []
    for key, value in content.items():
        more = isinstance(value, list) and len(value) > 1 and isinstance(value[0], dict)
        shown = f"[{json.dumps(value[0], ensure_ascii=False)}, …]" if more else json.dumps(value, ensure_ascii=False)
        lines.append(f'  "{key}": {shown},')
    return ["{", *lines[:-1], *(line.removesuffix(",") for line in lines[-1:]), "}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where the page is out of date")
    check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    current = current_page(page)
    if check and current != page:
        sys.exit(f"{PAGE} is out of date: python -m benchmarks.data_page writes it anew")
    if current != page:
        write_atomically(PAGE, current.encode())


if __name__ == "__main__":
    main()
