"""What is said is shown to a person, and kept for the run's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.experiment.console import Teller


@pytest.mark.parametrize("quiet", [False, True])
def test_the_log_holds_what_was_said_before_and_after(
    tmp_path: Path, quiet: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    teller = Teller(quiet)
    teller.tell("reading", "plan: [bold]3 classes[/bold]")
    teller.log_to(tmp_path / "log.txt")
    teller.tell("done")
    lines = "reading\nplan: [bold]3 classes[/bold]\ndone\n"
    assert (tmp_path / "log.txt").read_text() == lines
    assert capsys.readouterr().out == ("" if quiet else lines)


def test_a_log_is_continued(tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("before\n")
    teller = Teller(quiet=True)
    teller.log_to(tmp_path / "log.txt")
    teller.tell("after")
    assert (tmp_path / "log.txt").read_text() == "before\nafter\n"


def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Teller().progress("reading", 10) as advance:
        advance(5, 10)
    captured = capsys.readouterr()
    assert (captured.out.strip(), captured.err) == ("", "")
