"""MNIST's idx files: every image of a file is a record, and a wrong file is one clear error."""

from __future__ import annotations

import gzip
import json
import os
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file

from segkit.cli import main
from segkit.data.formats._base import list_records
from segkit.data.image_io import IMAGE_SUFFIXES, read_image
from segkit.data.opening import open_dataset
from segkit.data.readers import idx
from segkit.data.readers.idx import MAX_UNPACKED, open_idx
from segkit.data.scan import scan
from segkit.errors import DataError, UnreadableFileError
from segkit.experiment.evaluate import evaluate
from segkit.experiment.train import train
from segkit.inference.inputs import expand_inputs
from segkit.structures import ClassMap

DIGITS = 4


def encode(values: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def pictures(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images of 28 x 28 with a bright bar whose place is the class, and their labels."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 60, (count, 28, 28), np.uint8)
    labels = (np.arange(count) % DIGITS).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 + 6 * label : 8 + 6 * label, 4:24] = 250
    return images, labels


def make(root: Path, train_count: int = 48, test_count: int = 12, suffix: str = ".gz") -> Path:
    root.mkdir(exist_ok=True)
    for part, count, seed in (("train", train_count, 0), ("t10k", test_count, 1)):
        images, labels = pictures(count, seed)
        write(root / f"{part}-images-idx3-ubyte{suffix}", encode(images))
        write(root / f"{part}-labels-idx1-ubyte{suffix}", encode(labels))
    return root


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_every_image_of_the_files_is_a_record(tmp_path: Path, suffix: str) -> None:
    listing = list_records(make(tmp_path / "mnist", suffix=suffix))
    assert (listing.layout, listing.task, listing.findings) == ("idx files", "classify", ())
    assert Counter(record.split for record in listing.records) == {"train": 48, "test": 12}
    images, labels = pictures(12, seed=1)
    for record, image, label in zip(listing.records[:12], images, labels, strict=True):
        assert (record.split, record.label) == ("test", str(label))
        np.testing.assert_array_equal(read_image(record.image), image[..., None])
    assert listing.records[-1].id == "train/00047"
    assert listing.records[-1].image == tmp_path / "mnist" / f"train-images-idx3-ubyte{suffix}" / "00047.idx"


def test_the_names_with_a_dot_and_the_unpacked_of_two_are_read(tmp_path: Path) -> None:
    images, labels = pictures(8)
    write(tmp_path / "train-images.idx3-ubyte", encode(images))
    write(tmp_path / "train-labels.idx1-ubyte", encode(labels))
    write(tmp_path / "train-labels-idx1-ubyte.gz", encode(labels[::-1]))
    listing = list_records(tmp_path)
    assert [record.image.parent.name for record in listing.records] == ["train-images.idx3-ubyte"] * 8
    torchvision_layout = make(tmp_path / "raw")
    for file in list(torchvision_layout.iterdir()):
        write(file.with_suffix(""), gzip.decompress(file.read_bytes()))
    assert {r.image.parent.suffix for r in list_records(torchvision_layout).records} == {""}


def test_60000_training_images_without_a_validation_part_give_their_last_10000(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx3-ubyte.gz", encode(np.zeros((60_000, 1, 1), np.uint8)))
    write(tmp_path / "train-labels-idx1-ubyte.gz", encode(np.zeros(60_000, np.uint8)))
    listing = list_records(tmp_path)
    assert [record.split for record in listing.records] == ["train"] * 50_000 + ["val"] * 10_000
    assert "the last 10,000 of the 60,000 training images validate" in listing.notes[0]


def test_fewer_images_are_cut_by_content(tmp_path: Path) -> None:
    dataset = open_dataset(make(tmp_path / "mnist"))
    assert Counter(record.split for record in dataset.records) == {"train": 40, "val": 8, "test": 12}
    assert dataset.split_origin.startswith("the data's own parts; val cut by content")
    assert dataset.classes.names == ("0", "1", "2", "3")
    assert dataset.errors == ()


def test_mnist_itself_is_what_torchvision_reads(datasets: Callable[[str], Path], tmp_path: Path) -> None:
    folder = datasets("mnist")
    records = list_records(folder).records
    assert Counter(record.split for record in records) == {"train": 50_000, "val": 10_000, "test": 10_000}
    raw = tmp_path / "t10k-images-idx3-ubyte"
    raw.write_bytes(gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes()))
    theirs = read_image_file(str(raw)).numpy()
    test = [record for record in records if record.split == "test"]
    assert len(MNIST.classes) == len({record.label for record in records})
    for position in (0, 1, 4_567, 9_999):
        np.testing.assert_array_equal(read_image(test[position].image)[..., 0], theirs[position])
    assert [record.label for record in test[:10]] == list("7210414959")


def test_a_scan_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist", suffix="")
    records = list_records(root).records
    read: list[int] = []
    first = scan(records, lambda done, total: read.append(done))
    assert len(read) == 60
    again: list[int] = []
    assert scan(records, lambda done, total: again.append(done)) == first
    assert again == []
    file = root / "train-images-idx3-ubyte"
    changed = bytearray(file.read_bytes())
    changed[16:24] = bytes(8)
    file.write_bytes(changed)
    os.utime(file, (0, 0))
    facts = scan(list_records(root).records, lambda done, total: again.append(done))
    assert len(again) == 48
    assert facts.images["train/00000"].pixel_hash != first.images["train/00000"].pixel_hash
    assert facts.images["train/00001"].pixel_hash == first.images["train/00001"].pixel_hash


IMAGES, LABELS = pictures(6)
WHOLE = encode(IMAGES)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG" + WHOLE[4:], r"it starts with 89 50 4e 47; an idx file of images with 00 00 08 03"),
        (b"\0\0\x0d\x03" + WHOLE[4:], r"it starts with 00 00 0d 03"),
        (encode(LABELS), r"it starts with 00 00 08 01"),
        (b"", r"it starts with ; an idx file"),
        (WHOLE[:10], r"it ends in its header, after 10 bytes"),
        (WHOLE[:-1], r"it states 6 x 28 x 28 = 4,704 bytes and holds only 4,703"),
        (WHOLE + b"\0", r"it states 6 x 28 x 28 = 4,704 bytes and holds more"),
        (encode(IMAGES[:0]), r"it states 0 x 28 x 28 images: it is empty"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 6, 2**31, 2**31), r"pixels are above the limit"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 10_000_001, 1, 1), r"it states 10,000,001 images, above the limit of 10,000"),
    ],
)
def test_a_damaged_file_is_one_error(tmp_path: Path, suffix: str, content: bytes, message: str) -> None:
    root = make(tmp_path / "mnist", suffix=suffix)
    file = write(root / f"train-images-idx3-ubyte{suffix}", content)
    with pytest.raises(UnreadableFileError, match=message) as caught:
        list_records(root)
    assert caught.value.path == file


def test_a_damaged_gzip_file_is_one_error(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    file = root / "train-images-idx3-ubyte.gz"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableFileError, match=r"damaged or cut short .*; copy or save it again"):
        list_records(root)
    file.write_bytes(WHOLE)
    with pytest.raises(UnreadableFileError, match=r"damaged or cut short \(Not a gzipped file"):
        list_records(root)


def test_a_small_gzip_file_that_claims_much_is_not_unpacked(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    side = 2**14
    header = struct.pack(">4B3I", 0, 0, 8, 3, MAX_UNPACKED // side**2 + 1, side, side)
    write(root / "train-images-idx3-ubyte.gz", header)
    with pytest.raises(UnreadableFileError, match=r"it states 1,342,177,280 bytes, above 1 GiB; unpack it with gunzip"):
        list_records(root)


def test_images_are_counted_before_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes of zeros unpack to millions of images of one pixel."""
    root = make(tmp_path / "mnist")
    write(root / "t10k-images-idx3-ubyte.gz", encode(np.zeros((1_000_000, 1, 1), np.uint8)))
    monkeypatch.setattr("segkit.data.formats.idx.idx_images", lambda file: pytest.fail(f"{file} was listed"))
    with pytest.raises(DataError, match=r"holds 1,000,000 images and t10k-labels-idx1-ubyte.gz 12 labels"):
        list_records(root)


def test_sparse_labels_are_limited_too(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist", suffix="")
    with (root / "train-labels-idx1-ubyte").open("wb") as file:
        file.write(struct.pack(">4BI", 0, 0, 8, 1, 2**31))
        file.truncate(8 + 2**31)
    with pytest.raises(UnreadableFileError, match=r"it states 2,147,483,648 labels, above the limit of 10,000,000"):
        list_records(root)


def test_unpacked_files_are_kept_while_they_are_small_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {}
    for name, size in {"a": 60, "b": 30, "c": 50}.items():
        files[name] = write(tmp_path / f"{name}.gz", encode(np.zeros((size, 1, 1), np.uint8)))
    monkeypatch.setattr(idx, "MAX_UNPACKED", 100)
    opened = {name: open_idx(files[name], 3) for name in "ab"}
    assert all(open_idx(files[name], 3) is opened[name] for name in "ba")
    open_idx(files["c"], 3)  # b was asked for longest ago; a and c are still too large
    assert [key[0].stem for key in idx._opened] == ["c"]
    mapped = write(tmp_path / "d", encode(np.zeros((90, 1, 1), np.uint8)))
    open_idx(mapped, 3)
    assert [key[0].stem for key in idx._opened] == ["c", "d"]  # what is mapped takes no memory


def test_folders_called_like_files_are_left_out(tmp_path: Path) -> None:
    """Kaggle's archive of MNIST holds `x.idx3-ubyte` and a folder `x-idx3-ubyte` with the same file in it."""
    root = make(tmp_path / "mnist", suffix="")
    for file in list(root.iterdir()):
        content = file.read_bytes()
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
        file.mkdir()
        (file / file.name).write_bytes(content)
    assert Counter(record.split for record in list_records(root).records) == {"train": 48, "test": 12}
    assert len(expand_inputs([root])) == 60


def test_a_file_that_cannot_be_opened_is_one_error(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    file = root / "train-images-idx3-ubyte.gz"
    file.unlink()
    with pytest.raises(UnreadableFileError, match=r"train-images-idx3-ubyte.gz: it cannot be opened \(No such file"):
        open_idx(file, 3)
    with pytest.raises(UnreadableFileError, match=r"it cannot be opened \(Is a directory\)"):
        open_idx(root, 3)


def test_images_without_their_labels_are_one_error(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    write(root / "t10k-labels-idx1-ubyte.gz", encode(LABELS))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz holds 12 images and t10k-labels-.* 6 labels"):
        list_records(root)
    (root / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-images-.*gz has no labels beside it; expected t10k-labels-idx1"):
        list_records(root)


def test_an_image_is_named_by_file_and_position(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    with pytest.raises(UnreadableFileError, match=r"the file holds 12 images, 0 to 11"):
        read_image(root / "t10k-images-idx3-ubyte.gz" / "00012.idx")
    with pytest.raises(UnreadableFileError, match=r"absent: it cannot be opened \(No such file"):
        read_image(root / "absent" / "00000.idx")
    stray = write(tmp_path / "index.idx", b"no image")
    with pytest.raises(UnreadableFileError, match=r"an image of an idx file is named FILE/POSITION\.idx"):
        read_image(stray)
    assert ".idx" not in IMAGE_SUFFIXES


def test_inputs_take_the_folder_a_file_and_a_single_image(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    test = root / "t10k-images-idx3-ubyte.gz"
    assert len(expand_inputs([root])) == 60
    assert expand_inputs([test]) == [test / f"{position:05d}.idx" for position in range(12)]
    assert expand_inputs([test / "00003.idx"]) == [test / "00003.idx"]
    (tmp_path / "list.txt").write_text(f"mnist/{test.name}/00005.idx\nmnist/{test.name}/00002.idx\n")
    assert expand_inputs([tmp_path / "list.txt"]) == [test / "00005.idx", test / "00002.idx"]
    (tmp_path / "list.txt").write_text(f"mnist/{test.name}\n")
    assert expand_inputs([tmp_path / "list.txt"]) == expand_inputs([test])


def test_a_damaged_file_is_one_input_that_cannot_be_read(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    damaged = root / "train-images-idx3-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:100])
    for given in (root, damaged):
        first = [image for image in expand_inputs([given]) if image.parent == damaged]
        assert first == [damaged / "00000.idx"]
        with pytest.raises(UnreadableFileError, match=r"train-images-idx3-ubyte.gz: damaged or cut short"):
            read_image(first[0])
    assert len(expand_inputs([root])) == 13


def test_labels_take_the_names_declared_in_the_order_of_ids(tmp_path: Path) -> None:
    root = make(tmp_path / "mnist")
    (root / "classes.txt").write_text("zero\none\ntwo\nthree\n")
    dataset = open_dataset(root)
    dataset.require_usable()
    assert dataset.classes.names == ("zero", "one", "two", "three")
    assert [record.label for record in dataset.split("test")[:5]] == ["zero", "one", "two", "three", "zero"]
    assert "labels are ids: 0 is zero, 1 is one, 2 is two, 3 is three" in dataset.notes
    (root / "classes.txt").unlink()
    model = open_dataset(root, classes=dataset.classes)  # no class file is needed to evaluate
    assert [record.label for record in model.split("test")[:2]] == ["zero", "one"]
    assert model.errors == ()


def test_labels_take_the_names_of_the_ids_of_a_class_table(tmp_path: Path) -> None:
    """As for EMNIST's letters, whose labels begin at 1."""
    root = make(tmp_path / "mnist")
    for part, count in (("train", 48), ("t10k", 12)):
        write(root / f"{part}-labels-idx1-ubyte.gz", encode((np.arange(count) % DIGITS + 1).astype(np.uint8)))
    (root / "classes.csv").write_text("id,name\n1,a\n2,b\n3,c\n4,d\n")
    dataset = open_dataset(root)
    for read in (dataset, open_dataset(root, classes=ClassMap.from_dict(dataset.classes.to_dict()))):
        assert read.errors == ()
        assert [record.label for record in read.split("test")[:5]] == ["a", "b", "c", "d", "a"]


def test_train_evaluate_and_classify_work_on_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make(tmp_path / "mnist")
    run = train(root, output=tmp_path / "run", backbone="lenet", epochs=1, batch_size=8, workers=0, quiet=True)
    scored = evaluate(run.folder, root, quiet=True)
    assert len(scored.per_image) == 12
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["classify", str(run.folder), str(root / "t10k-images-idx3-ubyte.gz"), "--json"])
    assert not left.value.code
    rows = json.loads(capsys.readouterr().out)
    assert [Path(row["image"]).name for row in rows] == [f"{position:05d}.idx" for position in range(12)]
    assert {found["name"] for row in rows for found in row["classes"]} == {"0", "1", "2", "3"}
    good = tmp_path / "good"
    good.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(IMAGES[0]).save(good / name)
    write(good / "t10k-images-idx3-ubyte", WHOLE[:-1])
    with pytest.raises(SystemExit) as left:
        main(["classify", str(run.folder), str(good), "--json"])
    assert left.value.code == 1
    first, second, damaged = json.loads(capsys.readouterr().out)
    assert "classes" in first
    assert "classes" in second
    assert "t10k-images-idx3-ubyte: it states 6 x 28 x 28 = 4,704 bytes and holds only 4,703" in damaged["error"]
