from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segkit.data.config import DataConfig
from segkit.data.labels import names_of_ids, resolve_labels
from segkit.data.opening import OpenDataset, describe_finding, open_dataset
from segkit.errors import DataError, UsageError
from segkit.structures import ClassMap

Datasets = Callable[[str], Path]


def sizes(dataset: OpenDataset) -> tuple[int, ...]:
    return tuple(len(dataset.split(part)) for part in ("train", "val", "test"))


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Ten images in each of two folders."""
    generator = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        for i in range(10):
            Image.fromarray(generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(tmp_path / label / f"{i}.png")
    return tmp_path


def test_camvid(datasets: Datasets) -> None:
    dataset = open_dataset(datasets("camvid"))
    dataset.require_usable()
    assert dataset.describe()[:3] == [
        "read as: mask folder, train + trainannot; 367/101/233 images, 11 classes",
        "split: the data's own parts",
        "classes: sky, building, pole, road, pavement, tree, sign_symbol, fence, car, pedestrian, bicyclist; "
        "background: none",
    ]
    assert "not counted: void (11)" in dataset.notes
    assert dataset.unit == "image"
    assert dataset.findings == ()


def test_camvid_sequences_cross_its_parts(datasets: Datasets) -> None:
    by_sequence = DataConfig(group_by="^([^_]+)_")
    dataset = open_dataset(datasets("camvid"), by_sequence)
    with pytest.raises(
        DataError, match=r"group-across-splits: 2 groups .* 0001TP \(train/test\), 0016E5 \(train/val\)"
    ):
        dataset.require_usable()
    cut = open_dataset(datasets("camvid"), by_sequence.model_copy(update={"split": (70.0, 15.0, 15.0)}))
    cut.require_usable()
    assert sizes(cut) == (476, 124, 101)
    assert cut.unit == "group"
    assert "groups: 4, the unit that is sampled" in cut.describe()


def test_em_slices(datasets: Datasets) -> None:
    dataset = open_dataset(datasets("isbi2012_em"))
    dataset.require_usable()
    assert sizes(dataset) == (21, 5, 4)
    assert (dataset.classes.values[0], dataset.classes.values[255]) == (0, 1)
    assert "mask values 0 and 255 mean 0 and 1" in dataset.notes


def test_retina_has_train_and_test_of_its_own(datasets: Datasets) -> None:
    dataset = open_dataset(datasets("hrf_av"))
    dataset.require_usable()
    assert sizes(dataset) == (20, 4, 21)
    assert dataset.split_origin == "the data's own parts; val cut by content (seed 0) from train"
    table = (datasets("hrf_av") / "split.csv").read_text().split()[1:]
    assert {record.id for record in dataset.split("test")} == {
        line.split(",")[0] for line in table if line.endswith(",test")
    }


def test_instance_ids_are_refused_and_can_be_learnt_as_one_class(datasets: Datasets) -> None:
    dataset = open_dataset(datasets("nuclei_dsb2018"))
    assert {found.code for found in dataset.errors} == {"instance-ids", "channels-differ"}
    assert dataset.classes.num_classes < 3
    with pytest.raises(DataError, match="has 2 errors:") as refused:
        dataset.require_usable()
    # What the messages advise is what cures it.
    assert "--map other=1" in str(refused.value)
    assert "--channels rgb" in str(refused.value)
    cured = open_dataset(datasets("nuclei_dsb2018"), DataConfig(map={"other": 1}, channels="rgb"))
    cured.require_usable()
    assert cured.classes.num_classes == 2


def test_labels_are_the_classes_of_folders(labelled: Path) -> None:
    dataset = open_dataset(labelled)
    dataset.require_usable()
    assert dataset.task == "classify"
    assert (dataset.classes.names, dataset.classes.background) == (("cat", "dog"), None)
    assert sizes(dataset) == (14, 3, 3)
    for part, expected in {"train": {7}, "val": {1, 2}, "test": {1, 2}}.items():
        assert set(Counter(record.label for record in dataset.split(part)).values()) == expected


def test_declared_labels_give_the_order_and_refuse_others(labelled: Path) -> None:
    assert open_dataset(labelled, DataConfig(classes=("dog", "cat"))).classes.names == ("dog", "cat")
    dataset = open_dataset(labelled, DataConfig(classes=("dog", "fox")))
    (found,) = [found for found in dataset.errors if found.code == "unknown-label"]
    assert found.message == "--classes lacks the labels cat; add them there, or take their images out"
    assert len(found.files) == 10
    assert all(name.startswith("cat/") for name in found.files)
    assert found.records == tuple(f"cat/{i}" for i in range(10))


def test_numeric_labels_are_in_the_order_of_their_numbers() -> None:
    def order(*labels: str) -> tuple[str, ...]:
        return resolve_labels(None, {label: (label,) for label in labels}).class_map.names

    assert order("10", "9", "2", "02") == ("02", "2", "9", "10")
    assert order("10", "9", "b2") == ("10", "9", "b2")


def test_labels_are_names_where_one_of_them_is_a_name() -> None:
    assert names_of_ids(["0", "1"], ["cat", "dog"], [0, 1]) == {"0": "cat", "1": "dog"}
    assert names_of_ids(["0", "7"], ["cat", "dog"], [0, 1]) == {"0": "cat"}
    assert names_of_ids(["0", "1"], ["1", "0"], [0, 1]) == {}
    assert names_of_ids(["0", "dog"], ["cat", "dog"], [0, 1]) == {}


def test_a_label_without_training_images(labelled: Path) -> None:
    lines = [
        f"{label}/{i},{'train' if label == 'cat' and i < 8 else 'val'}" for label in ("cat", "dog") for i in range(10)
    ]
    split = labelled.parent / f"{labelled.name}.csv"
    split.write_text("\n".join(["id,split", *lines]))
    (found,) = open_dataset(labelled, DataConfig(split=split)).errors
    assert found.code == "class-without-training-pixels"
    assert "no training image shows dog (10 in val)" in found.message


@pytest.fixture
def listed(labelled: Path) -> Path:
    """The twenty images in a table, two per patient, with the site in a further column."""
    rows = [f"{label}/{i}.png,{label},{label}{i // 2},Rome" for label in ("cat", "dog") for i in range(10)]
    table = labelled / "labels.csv"
    table.write_text("\n".join(["image,label,patient,site", *rows]))
    return table


def test_groups_are_any_column_of_a_table(listed: Path) -> None:
    dataset = open_dataset(listed, DataConfig(group_by="patient"))
    dataset.require_usable()
    assert {record.group for record in dataset.records} == {f"{label}{i}" for label in ("cat", "dog") for i in range(5)}
    assert dataset.split_origin == "70/15/15 cut by content (seed 0, groups whole)"
    with pytest.raises(UsageError, match=r"'cage' is no column of the table \(image, label, patient, site\) and no"):
        open_dataset(listed, DataConfig(group_by="cage"))


def test_images_in_several_rows_are_left_out_where_that_is_allowed(listed: Path) -> None:
    listed.write_text(listed.read_text() + "\ncat/3.png,dog,dog9,Rome\n./dog/4.png,dog,dog2,Rome")
    (found,) = open_dataset(listed).errors
    assert (found.code, found.records) == ("duplicate-id", ("cat/3", "dog/4"))
    dataset = open_dataset(listed, DataConfig(allow=("duplicate-id",)))
    dataset.require_usable()
    assert dataset.findings[0].message.endswith("(allowed: the images are left out)")
    assert len(dataset.records) == 18
    assert {record.id for record in dataset.records}.isdisjoint({"cat/3", "dog/4"})


def test_splits_come_back_from_their_file(labelled: Path) -> None:
    first = open_dataset(labelled, DataConfig(seed=7))
    saved = labelled.parent / f"{labelled.name}.json"
    saved.write_text(json.dumps(first.splits()))
    again = open_dataset(labelled, DataConfig(split=saved))
    assert again.records == first.records
    assert again.split_origin == f"from {saved.name}"


def test_split_names(labelled: Path) -> None:
    dataset = open_dataset(labelled)
    assert dataset.split("all") == dataset.records
    with pytest.raises(
        UsageError, match=r"split 'tests' does not exist; allowed: train, val, test, all\. Did you mean 'test'\?"
    ):
        dataset.split("tests")


def test_nothing_usable_is_one_finding_among_the_others(labelled: Path) -> None:
    for path in labelled.rglob("*.png"):
        path.write_bytes(b"")
    dataset = open_dataset(labelled)
    assert {found.code for found in dataset.errors} == {"unreadable-image", "empty-set"}
    assert dataset.records == ()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; name a folder of images and masks"):
        open_dataset(tmp_path / "nowhere")


def test_findings_name_five_files_and_count_the_rest(labelled: Path) -> None:
    for path in (labelled / "cat").iterdir():
        path.write_bytes(b"")
    (found,) = [found for found in open_dataset(labelled).errors if found.code == "unreadable-image"]
    assert re.search(
        r": cat/0.png, cat/1.png, .* cat/4.png and 5 more \('segkit check' lists all\)$", describe_finding(found)
    )


def test_it_pickles_small_and_whole(labelled: Path) -> None:
    dataset = open_dataset(labelled)
    content = pickle.dumps(dataset)
    assert pickle.loads(content) == dataset
    assert len(content) < 1000 * len(dataset.records)


def test_opening_needs_no_torch() -> None:
    code = "import sys; import segkit.data.opening, segkit.data.fingerprint; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_opening_with_a_models_classes_checks_what_evaluation_needs(datasets: Datasets, tmp_path: Path) -> None:
    # Two slices: too few to cut, enough to score.
    for folder in ("image", "label"):
        (tmp_path / folder).mkdir()
        for name in ("00.png", "01.png"):
            (tmp_path / folder / name).symlink_to(datasets("isbi2012_em") / folder / name)
    assert open_dataset(tmp_path).errors
    model = ClassMap(("membrane", "cell"), values={0: 0, 255: 1}, background=1)
    dataset = open_dataset(tmp_path, classes=model)
    dataset.require_usable()
    assert dataset.classes is model
    assert [record.split for record in dataset.records] == [None, None]
    found, empty = open_dataset(tmp_path, classes=ClassMap(("membrane", "cell"))).errors
    assert empty.code == "empty-set"
    assert (found.code, found.files) == ("unknown-id", ("label/00.png", "label/01.png"))
    assert "masks hold 255, which the model does not know (its classes: 0 membrane, 1 cell)" in found.message


def test_opening_with_a_classifiers_classes(labelled: Path) -> None:
    open_dataset(labelled, classes=ClassMap(("cat", "dog", "fox"), background=None)).require_usable()
    (found,) = open_dataset(labelled, classes=ClassMap(("cat", "fox"), background=None)).errors
    assert found.code == "unknown-label"
    assert "the model lacks the labels dog" in found.message
