"""Public sets from a server and from local copies: licence first, whole or not at all, ready for `segkit check`."""

import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from segkit.data import catalogue as catalogue_module
from segkit.data import download as download_module
from segkit.data.catalogue import PublicSet, RemoteFile, catalogue
from segkit.data.fetch import fetch
from segkit.data.formats._base import FORMATS, list_records
from segkit.data.opening import open_dataset
from segkit.errors import DataError, UnreadableFileError, UsageError
from segkit.structures import Progress
from tests.data.file_server import Served, served


class Heard:
    """What was said and downloaded, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def bar(self, text: str) -> Iterator[Progress]:
        self.lines.append(f"bar {text}")
        yield lambda done, total: None


def get(name: str, out: Path, source: Path | None = None) -> list[str]:
    heard = Heard()
    fetch(name, out, source, say=heard, bar=heard.bar)
    return heard.lines


def archive_of(folder: Path, top: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, f"{top}/{path.relative_to(folder)}")
    return packed.getvalue()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that has the set `toy`, and a catalogue that knows it."""
    FORMATS.get("mask-folder")().example(tmp_path / "toy")
    content = archive_of(tmp_path / "toy", "toy-master")
    monkeypatch.setenv("SEGKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download_module, "PAUSE", 0.0)
    with served({"/toy.zip": content}) as state:
        state.stamps["/toy.zip"] = '"one"'
        file = RemoteFile(url=f"{state.address}/toy.zip", sha256=hashlib.sha256(content).hexdigest())
        entry = PublicSet.parse(
            {
                "title": "A toy",
                "task": "segment",
                "classes": ["background", "square", {"name": "disc", "void": True}],
                "images": {"train": 6},
                "licence": "CC0",
                "page": "nowhere",
                "cite": "nobody",
                "split": "none",
                "files": [file.model_dump()],
                "take": [{"from": "images/*.png", "to": "images"}, {"from": "masks/*.png", "to": "masks"}],
            }
        )
        known = {**catalogue(), "toy": entry}
        monkeypatch.setattr(catalogue_module, "catalogue", lambda: known)
        yield state


def test_a_set_is_downloaded_unpacked_and_ready(server: Served, tmp_path: Path) -> None:
    said = get("toy", tmp_path / "out")
    assert said[0] == "licence: CC0"
    assert said[-3:] == [
        f"downloading {server.address}/toy.zip",
        "bar toy.zip",
        f"6 images in {tmp_path / 'out'}; try: segkit check {tmp_path / 'out'}",
    ]
    dataset = open_dataset(tmp_path / "out")
    assert dataset.errors == ()
    assert dataset.classes.names == ("background", "square")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "SOURCE.txt",
        "classes.csv",
        "images",
        "masks",
    ]
    assert "licence: CC0" in (tmp_path / "out/SOURCE.txt").read_text()
    assert not list((tmp_path / "cache").rglob("toy.zip*"))


def test_an_interrupted_set_goes_on_and_leaves_no_folder(server: Served, tmp_path: Path) -> None:
    server.breaks["/toy.zip"] = [500] * download_module.ATTEMPTS
    with pytest.raises(DataError, match="run it again to go on from there"):
        get("toy", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "toy"]
    get("toy", tmp_path / "out")
    assert server.asked[-1] == ("/toy.zip", f"bytes={500 * download_module.ATTEMPTS}-")
    assert open_dataset(tmp_path / "out").errors == ()


@pytest.mark.parametrize("kind", ["archive", "folder of archives", "unpacked folder"])
def test_a_local_copy_needs_no_network(server: Served, tmp_path: Path, kind: str) -> None:
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies/toy.zip").write_bytes(server.files["/toy.zip"])
    sources = {"archive": "copies/toy.zip", "folder of archives": "copies", "unpacked folder": "toy"}
    get("toy", tmp_path / "out", tmp_path / sources[kind])
    assert server.asked == []
    assert open_dataset(tmp_path / "out").errors == ()
    assert (tmp_path / "copies/toy.zip").is_file()


@pytest.mark.parametrize("archive", ["toy_set.zip", "Toy-Set.zip", "toy-set.tar.gz"])
def test_an_archive_called_like_the_set_is_found_among_others(
    server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: str
) -> None:
    known = {"toy-set": catalogue_module.catalogue()["toy"]}
    monkeypatch.setattr(catalogue_module, "catalogue", lambda: known)
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies/toy.zip.txt").write_text("no archive")
    (tmp_path / "copies/another.zip").write_bytes(b"never opened")
    with pytest.raises(
        DataError,
        match=r"copies holds no images/\*\.png; give the set as it is published; "
        r"archives looked for in it: toy\.zip, toy-set\.zip, toy-set\.tar, toy-set\.tar\.gz$",
    ):
        get("toy-set", tmp_path / "out", tmp_path / "copies")
    if archive.endswith(".zip"):
        (tmp_path / "copies" / archive).write_bytes(server.files["/toy.zip"])
    else:
        with tarfile.open(tmp_path / "copies" / archive, "w:gz") as packed:
            packed.add(tmp_path / "toy", "toy")
    get("toy-set", tmp_path / "out", tmp_path / "copies")
    assert len(list((tmp_path / "out/images").iterdir())) == 6


def test_an_archive_of_something_else_is_named(server: Served, tmp_path: Path) -> None:
    (tmp_path / "other.zip").write_bytes(archive_of(tmp_path / "toy/masks", "other"))
    with pytest.raises(DataError, match=rf"^{tmp_path}/other\.zip holds no images/\*\.png; give the set as it is publ"):
        get("toy", tmp_path / "out", tmp_path / "other.zip")


def test_a_local_copy_that_is_not_the_published_one_is_refused(server: Served, tmp_path: Path) -> None:
    (tmp_path / "toy.zip").write_bytes(server.files["/toy.zip"] + b"more")
    with pytest.raises(DataError, match=r"toy\.zip: its SHA256 is .* and not .*; it is damaged, or not the published"):
        get("toy", tmp_path / "out", tmp_path / "toy.zip")
    assert (tmp_path / "toy.zip").is_file()
    (tmp_path / "renamed.zip").write_bytes(server.files["/toy.zip"][:500])
    with pytest.raises(UnreadableFileError, match=r"renamed\.zip: no archive, damaged or cut short; down"):
        get("toy", tmp_path / "out", tmp_path / "renamed.zip")
    assert not (tmp_path / "out").exists()


def test_wrong_arguments_are_refused_before_anything_happens(server: Served, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no public data set 'camvd' in the catalogue\. Did you mean 'camvid'"):
        get("camvd", tmp_path / "out")
    with pytest.raises(UsageError, match=r"--from .*nothing: there is no such file or folder"):
        get("toy", tmp_path / "out", tmp_path / "nothing")
    (tmp_path / "picture.png").write_bytes(b"png")
    with pytest.raises(
        UsageError, match=r"picture\.png: it is no archive \(zip, tar, tar\.gz\); give one, or a folder"
    ):
        get("toy", tmp_path / "out", tmp_path / "picture.png")
    with pytest.raises(UsageError, match="toy is not empty; name a new folder"):
        get("toy", tmp_path / "toy")
    assert server.asked == []


REAL: dict[str, tuple[str, dict[str | None, int]]] = {
    "mnist": ("mnist", {"train": 50_000, "val": 10_000, "test": 10_000}),
    "camvid": ("camvid", {"train": 367, "val": 101, "test": 233}),
    "isbi2012-em": ("isbi2012_em", {None: 30}),
    "bccd": ("bccd", {"train": 205, "val": 87, "test": 72}),
    "nuclei-dsb2018": ("nuclei_dsb2018", {None: 65}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_sets_from_local_copies_pass_the_check(name: str, datasets: Callable[[str], Path], tmp_path: Path) -> None:
    folder = datasets(REAL[name][0])
    said = get(name, tmp_path / "out", folder)
    assert said[0].startswith("licence: ")
    listing = list_records(tmp_path / "out", task=catalogue()[name].task)
    if name != "mnist":  # whose 70,000 images are scanned by other tests
        dataset = open_dataset(tmp_path / "out", task=catalogue()[name].task)
        assert [found.message for found in dataset.errors] == []
        assert list(dataset.classes.names) == [one.name for one in catalogue()[name].classes if not one.void]
    assert dict(Counter(record.split for record in listing.records)) == REAL[name][1]
    shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("name", ["isbi2012-em", "nuclei-dsb2018"])
def test_real_archives_are_found_in_a_folder_of_archives(
    name: str, datasets: Callable[[str], Path], tmp_path: Path
) -> None:
    datasets(REAL[name][0])
    archives = Path(os.environ["SEGKIT_DATASETS"])
    if not (archives / f"{REAL[name][0]}.tar").is_file():
        pytest.skip("the data sets are unpacked")
    get(name, tmp_path / "out", archives)
    assert len(list_records(tmp_path / "out", task=catalogue()[name].task).records) == REAL[name][1][None]


def test_a_real_archive_is_unpacked(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    folder = datasets("isbi2012_em")
    with tarfile.open(tmp_path / "isbi.tar", "w") as archive:
        archive.add(folder, "isbi2012_em")
    get("isbi2012-em", tmp_path / "out", tmp_path / "isbi.tar")
    assert open_dataset(tmp_path / "out").errors == ()
