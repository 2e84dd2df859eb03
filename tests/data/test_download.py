"""Downloads over broken connections: nothing is fetched twice, nothing wrong is kept."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from segkit.data import download as module
from segkit.data.download import download
from segkit.errors import DataError
from tests.data.file_server import Served, served

CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    monkeypatch.setattr(module, "_CHUNK", 100)
    with served({"/a.zip": CONTENT}) as state:
        state.stamps["/a.zip"] = '"one"'
        yield state


def test_a_file_arrives_whole_and_its_progress_is_told(server: Served, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    download(f"{server.address}/a.zip", tmp_path / "sub" / "a.zip", ("md5", MD5), lambda *done: told.append(done))
    assert (tmp_path / "sub/a.zip").read_bytes() == CONTENT
    assert told[0] == (100, len(CONTENT))
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a.zip"]


def test_a_broken_connection_is_taken_up_where_it_broke(server: Served, tmp_path: Path) -> None:
    server.breaks["/a.zip"] = [1000, 2500]
    download(f"{server.address}/a.zip", tmp_path / "a.zip", ("md5", MD5))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [("/a.zip", None), ("/a.zip", "bytes=1000-"), ("/a.zip", "bytes=3500-")]


def test_a_later_call_goes_on_after_the_connection_stayed_broken(server: Served, tmp_path: Path) -> None:
    server.breaks["/a.zip"] = [300] * module.ATTEMPTS
    with pytest.raises(DataError, match=r"the download stopped after 1,200 bytes \(.*\); run it again to go on"):
        download(f"{server.address}/a.zip", tmp_path / "a.zip", ("md5", MD5))
    assert not (tmp_path / "a.zip").exists()
    server.asked.clear()
    download(f"{server.address}/a.zip", tmp_path / "a.zip", ("md5", MD5))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [("/a.zip", "bytes=1200-")]


def test_a_file_that_changed_in_between_starts_anew(server: Served, tmp_path: Path) -> None:
    server.breaks["/a.zip"] = [300] * module.ATTEMPTS
    with pytest.raises(DataError, match="stopped after"):
        download(f"{server.address}/a.zip", tmp_path / "a.zip")
    server.files["/a.zip"], server.stamps["/a.zip"] = CONTENT[::-1], '"two"'
    download(f"{server.address}/a.zip", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT[::-1]


def test_a_server_without_stamps_sends_everything_again(server: Served, tmp_path: Path) -> None:
    server.stamps.clear()
    server.breaks["/a.zip"] = [1000]
    download(f"{server.address}/a.zip", tmp_path / "a.zip", ("md5", MD5))
    assert server.asked == [("/a.zip", None), ("/a.zip", None)]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_download_that_was_complete_but_not_renamed_is_taken(server: Served, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT)
    (tmp_path / "a.zip.part.stamp").write_text('"one"')
    download(f"{server.address}/a.zip", tmp_path / "a.zip", ("md5", MD5))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_file_that_is_there_is_not_asked_for(server: Served, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(CONTENT)
    download(f"{server.address}/a.zip", tmp_path / "a.zip", ("sha256", hashlib.sha256(CONTENT).hexdigest()))
    assert server.asked == []


def test_a_wrong_checksum_is_an_error_and_the_file_is_not_kept(server: Served, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"its MD5 is {MD5} and not {'0' * 32}; it is damaged, or not the published"):
        download(f"{server.address}/a.zip", tmp_path / "a.zip", ("md5", "0" * 32))
    assert not list(tmp_path.glob("a.zip*[!p]"))
    assert not (tmp_path / "a.zip").exists()


def test_a_missing_file_is_said_at_once(server: Served, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.zip: the server answers 404 Not Found; see the set's page"):
        download(f"{server.address}/b.zip", tmp_path / "b.zip")
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server: Served, tmp_path: Path) -> None:
    server.status["/a.zip"] = [503, 429]
    download(f"{server.address}/a.zip", tmp_path / "a.zip", ("md5", MD5))
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_machine_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    with pytest.raises(DataError, match=r"stopped after 0 bytes \(.*refused.*\); run it again"):
        download("http://127.0.0.1:9/a.zip", tmp_path / "a.zip")
