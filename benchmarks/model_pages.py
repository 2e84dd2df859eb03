"""Write the generated parts of the model pages anew: tables and pictures from `describe`.

    python -m benchmarks.model_pages [--check]

A page holds `<!-- describe: ARGUMENTS -->` ... `<!-- end -->`, with the arguments of `segkit describe`; what stands
between is replaced by the table of that network, and `images/NAME.svg` beside the page is drawn. `--check` writes
nothing and fails where a page or a picture of it is out of date.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from pathlib import Path

from segkit.cli.options import parse_assignments
from segkit.explanation.describe import Description, describe
from segkit.explanation.table import COLUMNS, layer_cells, summary
from segkit.models.complexity import Layer
from segkit.ops.files import write_atomically
from segkit.report.architecture import architecture_picture

FOLDER = Path(__file__).parents[1] / "docs" / "models"
_PART = re.compile(r"(<!-- describe: (.*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PIXEL_TOLERANCE = 0.01
_MOST_LINES = 40
_DROPPED = ("connections", "centre", "jump")


def describe_words(words: str) -> Description:
    """The description that `segkit describe WORDS` prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    for option in ("--size", "--classes", "--channels"):
        parser.add_argument(option, type=int)
    parser.add_argument("--backbone-option", action="append")
    given = parser.parse_args(shlex.split(words))
    return describe(
        given.name,
        size=given.size,
        classes=given.classes,
        channels=given.channels,
        backbone_options=parse_assignments(given.backbone_option, "--backbone-option"),
    )


def table(described: Description) -> str:
    """The layers that learn, pool or enlarge as a table; of long networks the first and the last."""
    shown = [layer for layer in described.complexity.layers if _is_shown(layer)]
    keep = [number for number, column in enumerate(COLUMNS) if column not in _DROPPED]
    rows = [" | ".join(layer_cells(layer)[number] for number in keep) for layer in shown]
    if len(rows) > _MOST_LINES:
        half = _MOST_LINES // 2
        left_out = f"… {len(rows) - _MOST_LINES} more" + " |" * (len(keep) - 1)
        rows = [*rows[:half], left_out, *rows[-half:]]
    head = " | ".join(COLUMNS[number] for number in keep)
    rule = " | ".join("---" if number < 2 else "---:" for number in keep)
    return "\n".join(
        [f"| {line} |" for line in (head, rule, *rows)] + ["", *(f"{line}." for line in summary(described))]
    )


def _is_shown(layer: Layer) -> bool:
    return bool(layer.multiply_adds or layer.kernel or layer.connections) or "upsampl" in layer.kind.lower()


def regenerate(page: Path, write: bool) -> bool:
    """Whether the page and its pictures were up to date."""
    text = page.read_text(encoding="utf-8")
    were_up_to_date = []

    def replaced(part: re.Match[str]) -> str:
        described = describe_words(part[2])
        picture = FOLDER / "images" / f"{described.name.replace('+', '_').replace('/', '_')}.svg"
        content = architecture_picture(described.complexity, described.name, picture.suffix)
        were_up_to_date.append(picture.is_file() and _alike(picture.read_bytes(), content))
        if write:
            picture.parent.mkdir(exist_ok=True)
            write_atomically(picture, content)
        drawn = f"![map sizes and channels of {described.name}](images/{picture.name})"
        return f"{part[1]}\n{drawn}\n\n{table(described)}\n\n{part[3]}"

    new = _PART.sub(replaced, text)
    if write:
        page.write_text(new, encoding="utf-8")
    return new == text and all(were_up_to_date)


def _alike(picture: bytes, other: bytes) -> bool:
    """Whether two SVG files draw the same: processors differ in the last digits of a coordinate."""
    (words, numbers), (other_words, other_numbers) = (
        (_NUMBER.sub("", text), [float(number) for number in _NUMBER.findall(text)])
        for text in (picture.decode(), other.decode())
    )
    if words != other_words or len(numbers) != len(other_numbers):
        return False
    return all(abs(number - twin) < _PIXEL_TOLERANCE for number, twin in zip(numbers, other_numbers, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args().check
    old = [page.name for page in sorted(FOLDER.glob("*.md")) if not regenerate(page, write=not is_check)]
    if is_check and old:
        sys.exit(f"out of date: {', '.join(old)}; run: python -m benchmarks.model_pages")


if __name__ == "__main__":
    main()
