"""`segkit check`: what it prints, its JSON document and its page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.data.rules import RULES
from tests.cli.conftest import Ends
from tests.data.planted import FAULTS, write_clean


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    write_clean(tmp_path / "data")
    return tmp_path / "data"


def is_error(code: str) -> bool:
    return RULES[code].severity == "error"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_in_the_document(
    clean: Path, segkit: Ends, capsys: pytest.CaptureFixture[str], fault: str
) -> None:
    plant, codes, files, _ = FAULTS[fault]
    plant(clean)
    refused = any(map(is_error, codes))
    assert segkit("check", clean, "--json") == int(refused)
    document = json.loads(capsys.readouterr().out)
    found = {finding["code"]: finding for finding in document["findings"]}
    assert set(found) == set(codes)
    assert tuple(found[codes[0]]["files"]) == files
    assert {finding["severity"] == "error" for finding in found.values()} == set(map(is_error, codes))
    allowed = [word for code in codes for word in ("--allow", code) if RULES[code].allowed and is_error(code)]
    if refused and len(allowed) == 2 * sum(map(is_error, codes)):
        assert segkit("check", clean, *allowed) == 0
        assert "allowed: " in capsys.readouterr().out


def test_the_clean_set_is_described(clean: Path, segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    assert segkit("check", clean, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["findings"] == []
    assert document["fingerprint"]["images"] == {"train": 8, "val": 2, "test": 2}
    assert set(document["fingerprint"]["object_sizes"]["classes"]) == {"cell", "nucleus"}
    assert segkit("check", clean) == 0
    printed = capsys.readouterr().out
    assert "stored as" in printed
    assert "0 errors, 0 warnings; ready: segkit train" in printed


def test_the_fingerprint_is_stored_where_the_output_says(
    clean: Path, segkit: Ends, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGKIT_CACHE", str(tmp_path / "cache"))
    assert segkit("check", clean, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    file = Path(document["fingerprint_file"])
    assert file.parent == tmp_path / "cache" / "fingerprints"
    stored = json.loads(file.read_text())
    assert stored.items() >= document["fingerprint"].items()
    assert {part: len(hashes) for part, hashes in stored["hashes"].items()} == {"train": 8, "val": 2, "test": 2}
    assert (stored["data"], stored["task"]) == (str(clean), "segment")
    assert segkit("check", clean) == 0
    assert f"fingerprint: {file}\n" in capsys.readouterr().out
    assert segkit("check", clean, "--channels", "gray") == 0  # other options measure something else
    assert f"fingerprint: {file}\n" not in capsys.readouterr().out
    (tmp_path / "full").write_text("a file where the folder would be")
    monkeypatch.setenv("SEGKIT_CACHE", str(tmp_path / "full"))
    assert segkit("check", clean) == 0
    assert "fingerprint: not stored: cannot make the folder" in capsys.readouterr().out


def test_what_is_ready_is_the_command_that_trains(
    clean: Path, segkit: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        "--map",
        "7=1",
        "--channels",
        "gray",
        "--allow",
        "lossy-mask",
        "--allow",
        "missing-mask",
        "--group-by",
        "^(.)",
    ]
    assert segkit("check", clean, *given, "--report", clean.parent / "page.html") == 1
    capsys.readouterr()
    moved = clean.rename(clean.parent / "my data")
    assert segkit("check", moved, "--channels", "gray", "--allow", "lossy-mask", "--allow", "missing-mask") == 0
    verdict = capsys.readouterr().out.splitlines()[-1]
    options = "--channels gray --allow lossy-mask --allow missing-mask"
    assert verdict == f"0 errors, 0 warnings; ready: segkit train '{moved}' {options}"


def test_the_verdict_says_how_to_go_on(clean: Path, segkit: Ends, capsys: pytest.CaptureFixture[str]) -> None:
    FAULTS["image cut short"][0](clean)
    assert segkit("check", clean) == 1
    verdict = capsys.readouterr().out.splitlines()[-1]
    assert verdict.endswith("training would refuse this data set; to go on nevertheless: --allow unreadable-image")


def test_the_page_shows_what_the_network_will_see(
    clean: Path, segkit: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    plant: Callable[[Path], None] = FAULTS["image cut short"][0]
    plant(clean)
    page = clean.parent / "page.html"
    assert segkit("check", clean, "--report", page, "--json") == 1
    streams = capsys.readouterr()
    assert json.loads(streams.out)["findings"][0]["code"] == "unreadable-image"
    assert f"report: {page}" in streams.err
    text = page.read_text(encoding="utf-8")
    for caption in ("Stored, 48 × 40", "As the network sees it", "Augmented", "Augmented again"):
        assert text.count(f"<span>{caption}</span>") == 5
    assert "crops of 64×64" in text  # the plan, with its reasons


@pytest.mark.parametrize(
    ("name", "message"),
    [("page.pdf", "the page is HTML; give a name that ends in .html"), ("gone/page.html", "there is no folder")],
)
def test_a_page_that_cannot_be_written_is_refused_at_once(
    clean: Path, segkit: Ends, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    assert segkit("check", clean, "--report", clean.parent / name) == 2
    assert message in capsys.readouterr().err
