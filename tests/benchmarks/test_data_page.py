"""The page on data holds every layout and public set, as the code has them now."""

import pytest

from benchmarks.data_page import PAGE, current_page
from segkit.data.catalogue import catalogue
from segkit.data.formats._base import FORMATS

PAGE_TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_current() -> None:
    assert current_page(PAGE_TEXT) == PAGE_TEXT, "out of date: python -m benchmarks.data_page writes it anew"


@pytest.mark.parametrize("name", FORMATS.names())
def test_every_format_has_its_section(name: str) -> None:
    assert f"\n### {name}" in PAGE_TEXT


def test_every_public_set_has_its_row() -> None:
    assert all(f"\n| `{name}` | " in PAGE_TEXT for name in catalogue())
