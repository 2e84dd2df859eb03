"""Durations as people write them."""

import pytest

from segkit.errors import UsageError
from segkit.experiment.duration import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1h30m", 5400), ("0.5h", 1800), ("2m5s", 125)]
)
def test_parse(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "10 m", "m", "10min", "-5m"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(UsageError, match="expected a time such as 90s, 10m or 1h30m"):
        parse_duration(text)


def test_parse_refuses_no_time() -> None:
    with pytest.raises(UsageError, match="the time must be above zero"):
        parse_duration("0m")


@pytest.mark.parametrize(("seconds", "text"), [(45, "45 s"), (600, "10 min"), (3600, "1 h"), (5400, "1 h 30 min")])
def test_format(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
