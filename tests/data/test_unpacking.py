"""Archives from outside: what they hold arrives, and nothing lands elsewhere or fills the disk."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from segkit.data import unpacking
from segkit.data.unpacking import is_archive, unpack
from segkit.errors import DataError, UnreadableFileError


def tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FILES = {"set/a.txt": b"a" * 5000, "set/sub/b.txt": b"b", "c.txt": b""}


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".tar", "w"), (".tar.gz", "w:gz"), (".tgz", "w:gz"), (".tar.xz", "w:xz")]
)
def test_tar_archives_arrive_whole(tmp_path: Path, suffix: str, mode: str) -> None:
    archive = tar(tmp_path / f"x{suffix}", FILES, mode)
    assert is_archive(archive)
    unpack(archive, tmp_path / "out")
    assert content(tmp_path / "out") == FILES


def test_a_zip_archive_arrives_whole(tmp_path: Path) -> None:
    unpack(zipped(tmp_path / "x.ZIP", FILES), tmp_path / "out")
    assert content(tmp_path / "out") == FILES


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "a\\..\\..\\evil.txt", "C:evil.txt"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    for archive in (tar(tmp_path / "x.tar", {name: b"evil"}), zipped(tmp_path / "x.zip", {name: b"evil"})):
        with pytest.raises(DataError, match="leads out of the folder it is unpacked into; the archive is not to be"):
            unpack(archive, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("*evil*"))


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"link{kind!r}")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        plain = tarfile.TarInfo("a.txt")
        plain.size = 1
        archive.addfile(plain, io.BytesIO(b"a"))
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(link, "/etc/passwd")
        packed.writestr("a.txt", "a")
    for name in ("x.tar", "x.zip"):
        unpack(tmp_path / name, tmp_path / f"out {name}")
        assert content(tmp_path / f"out {name}") == {"a.txt": b"a"}


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "FREE_BYTES", 1000)
    bomb = {f"{i}.txt": bytes(4 * 2**20) for i in range(8)}
    archive = zipped(tmp_path / "x.zip", bomb) if kind == "zip" else tar(tmp_path / "x.tar.gz", bomb, "w:gz")
    with pytest.raises(DataError, match="more than 100 times its size comes out of it; if you trust it, unpack it"):
        unpack(archive, tmp_path / "out")
    written = sum(map(len, content(tmp_path / "out").values()))
    assert written <= 100 * archive.stat().st_size + 2**20


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "MAX_FILES", 3)
    with pytest.raises(DataError, match="more than 3 files; unpack it yourself"):
        unpack(tar(tmp_path / "x.tar", {f"{i}": b"" for i in range(5)}), tmp_path / "out")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz", "x.tar.bz2"])
def test_damaged_archives_are_one_clear_error(tmp_path: Path, name: str) -> None:
    whole = zipped(tmp_path / "w", FILES) if name == "x.zip" else tar(tmp_path / "w", FILES, f"w:{name[6:]}")
    half = min(3000, whole.stat().st_size // 2)
    damaged = {"cut": whole.read_bytes()[:half], "noise": b"no archive at all" * 99, "empty": b""}
    for content_ in damaged.values():
        (tmp_path / name).write_bytes(content_)
        with pytest.raises(UnreadableFileError, match=rf"/{name}: no archive, damaged or cut short; download"):
            unpack(tmp_path / name, tmp_path / "out")


def test_an_encrypted_archive_is_one_clear_error(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "x.zip", FILES)
    content_ = bytearray(archive.read_bytes())
    content_[6] |= 1  # the flag of the first local header, and of its entry in the directory
    content_[content_.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(content_)
    with pytest.raises(
        UnreadableFileError, match=r"x\.zip: encrypted, or packed in a way that is not known here; unpack"
    ):
        unpack(archive, tmp_path / "out")


def test_other_files_are_no_archives() -> None:
    assert not any(is_archive(Path(name)) for name in ("a.png", "train-images-idx3-ubyte.gz", "tar"))
