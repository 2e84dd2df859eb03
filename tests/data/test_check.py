"""Faults planted one by one into a small clean set: each is found, with its files, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import segkit.data
from segkit.data.check_files import check_values
from segkit.data.config import DataConfig
from segkit.data.facts import MaskFacts
from segkit.data.findings import Finding, Severity
from segkit.data.opening import open_dataset
from segkit.data.rules import RULES, allowable, apply_allowed
from segkit.errors import DataError, UsageError
from segkit.structures import ClassMap
from tests.data.planted import (
    FAULTS,
    SIZE,
    boxes_alone,
    copy_image,
    cut_short,
    gray_image,
    image_pixels,
    mask_pixels,
    save,
    write_clean,
)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    write_clean(tmp_path / "data")
    return tmp_path / "data"


def test_the_clean_set_has_no_findings(clean: Path) -> None:
    assert open_dataset(clean).findings == ()
    boxes_alone()(clean)
    boxed = open_dataset(clean)
    assert (boxed.task, boxed.findings) == ("detect", ())


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(clean: Path, fault: str) -> None:
    plant, codes, files, message = FAULTS[fault]
    plant(clean)
    dataset = open_dataset(clean)
    by_code = {found.code: found for found in dataset.findings}
    assert set(by_code) == set(codes)
    found = by_code[codes[0]]
    assert found.files == files
    assert re.search(message, found.message)
    assert found.severity is RULES[found.code].severity
    if dataset.errors:
        with pytest.raises(DataError, match=rf"(?s)has \d errors?:.*{dataset.errors[0].code}"):
            dataset.require_usable()
    else:
        dataset.require_usable()


def test_a_split_file_may_name_images_that_cannot_be_used(clean: Path) -> None:
    cut_short(clean, "images")
    elsewhere = clean.parent / "parts.csv"
    (clean / "split.csv").rename(elsewhere)
    (found,) = open_dataset(clean, DataConfig(split=elsewhere)).findings
    assert found.code == "unreadable-image"


def test_a_copy_in_no_part_is_in_nobodys_way(clean: Path) -> None:
    for folder in ("images", "masks"):
        (clean / folder / "copy.png").write_bytes((clean / folder / "03.png").read_bytes())
    assert [found.code for found in open_dataset(clean).findings] == ["unassigned-image"]


def test_all_faults_at_once_are_all_found(clean: Path) -> None:
    cut_short(clean, "images")
    save(clean / "masks" / "04.png", mask_pixels(4)[:12])
    save(clean / "images" / "05.png", image_pixels(5, channels=1))
    copy_image("06", "11")(clean)
    (clean / "masks" / "07.png").unlink()
    codes = {found.code for found in open_dataset(clean).errors}
    assert codes == {"unreadable-image", "size-mismatch", "channels-differ", "duplicate-across-splits", "missing-mask"}


def test_groups_in_two_parts(clean: Path) -> None:
    (found,) = open_dataset(clean, DataConfig(group_by="^.(.)")).findings
    assert found.code == "group-across-splits"
    assert "2 groups in more than one part: 0 (train/test), 1 (train/test)" in found.message
    assert found.files == ("images/00.png", "images/01.png", "images/10.png", "images/11.png")
    assert open_dataset(clean, DataConfig(group_by="^.(.)", split=(70, 15, 15))).findings == ()


def test_converted_channels_agree(clean: Path) -> None:
    gray_image(clean)
    for channels in ("rgb", "gray"):
        assert open_dataset(clean, DataConfig(channels=channels)).findings == ()


def test_channels_that_cannot_be_converted(clean: Path) -> None:
    opaque = np.full(SIZE, 255, np.uint8)
    opaque[0] = 200
    pixels = np.dstack([image_pixels(3), opaque])
    save(clean / "images" / "03.png", pixels)
    (found,) = open_dataset(clean, DataConfig(channels="rgb")).findings
    assert found.code == "channels-differ"
    assert "11 images of 3, 1 image of 4; save all images with one number of channels" in found.message


def test_overlapping_class_files(tmp_path: Path) -> None:
    """Cells reach from column 0 to 9, nuclei from 8 in the first image and from 10 in the others, to column 46."""
    for i in range(3):
        save(tmp_path / "images" / f"{i}.png", image_pixels(i))
        cell, nucleus = np.zeros((2, *SIZE), np.uint8)
        cell[:, :10], nucleus[:, 8 if i == 0 else 10 : -1] = 1, 255
        save(tmp_path / "masks" / "cell" / f"{i}.png", cell)
        save(tmp_path / "masks" / "nucleus" / f"{i}.png", nucleus)
    dataset = open_dataset(tmp_path)
    dataset.require_usable()
    (found,) = dataset.findings
    assert (found.code, found.severity) == ("class-overlap", Severity.WARNING)
    assert (found.files, found.records) == (("masks/cell/0.png",), ("0",))
    assert found.message == "1 mask with 80 pixels claimed by several classes; the later class has them"


@pytest.mark.parametrize(
    ("fault", "left_out"),
    [
        ("image cut short", True),
        ("size", True),
        ("two suffixes", True),
        ("orientation", False),
        ("lossy", False),
        ("leak", False),
    ],
)
def test_an_allowed_error_is_a_warning(clean: Path, fault: str, left_out: bool) -> None:
    plant, codes, _, _ = FAULTS[fault]
    plant(clean)
    dataset = open_dataset(clean, DataConfig(allow=tuple(codes)))
    dataset.require_usable()
    (found,) = dataset.findings
    assert found.severity is Severity.WARNING
    assert found.message.endswith(f"(allowed: {RULES[found.code].allowed})")
    assert len(dataset.records) == (11 if left_out else 12)
    assert dataset.config.allow == tuple(codes)


def test_a_misspelt_code_is_refused_with_the_nearest(clean: Path) -> None:
    with pytest.raises(
        UsageError, match=r"--allow size-mismach: there is no such check\. Did you mean 'size-mismatch'\?"
    ):
        open_dataset(clean, DataConfig(allow=("size-mismach",)))


def test_some_errors_cannot_be_allowed() -> None:
    with pytest.raises(
        UsageError,
        match=r"--allow channels-differ: this cannot be allowed, because images have different numbers of channels, "
        r"and a network takes one; give '--channels rgb' or '--channels gray'",
    ):
        apply_allowed((), ("channels-differ",))
    with pytest.raises(UsageError, match=r"--allow constant-image: training goes on after it anyway"):
        apply_allowed((), ("constant-image",))
    never = {code: rule for code, rule in RULES.items() if rule.severity is Severity.ERROR and code not in allowable()}
    assert {code for code, rule in never.items() if rule.cure} == set(never)


def test_errors_come_first() -> None:
    note, warning, error = (
        Finding("size-mismatch", severity, "") for severity in (Severity.NOTE, Severity.WARNING, Severity.ERROR)
    )
    assert apply_allowed((note, warning, error), ()) == (error, warning, note)


def test_every_code_in_the_source_has_a_rule_and_every_rule_is_used() -> None:
    source = "\n".join(
        path.read_text() for path in Path(segkit.data.__path__[0]).rglob("*.py") if path.name != "rules.py"
    )
    used = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', source))
    assert set(RULES) <= used
    assert set(re.findall(r'\(\s*"([a-z]+(?:-[a-z]+)+)",', source)) <= set(RULES)


def test_values_unknown_to_a_model_are_listed_in_their_order() -> None:
    mask = MaskFacts(size=(8, 8), values=dict.fromkeys(range(14), 1))
    (found,) = check_values({"m": mask}, ClassMap(("background", "cell")))
    assert found.records == ("m",)
    assert "masks hold 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more, which the model does not know" in found.message


def test_a_class_of_images_that_are_left_out_is_no_second_error(clean: Path) -> None:
    for i in range(8):
        mask = mask_pixels(i)
        save(clean / "masks" / f"{i:02}.png", np.where(mask == 2, 0, mask) if i != 3 else mask)
    assert open_dataset(clean).errors == ()  # one training image shows the nucleus
    cut_short(clean, "images")
    dataset = open_dataset(clean)
    assert [found.code for found in dataset.errors] == ["unreadable-image"]
    (doubted,) = [found for found in dataset.findings if found.code == "class-without-training-pixels"]
    assert doubted.severity is Severity.WARNING
    assert "no training image shows nucleus" in doubted.message
    assert "left out because of errors may show it: correct those first" in doubted.message
    knowingly = open_dataset(clean, DataConfig(allow=("unreadable-image",)))  # now it is what training would see
    assert [found.code for found in knowingly.errors] == ["class-without-training-pixels"]


def test_a_class_file_is_spoken_of_only_where_there_is_one(clean: Path) -> None:
    for i in range(8):
        save(clean / "masks" / f"{i:02}.png", np.minimum(mask_pixels(i), 1))
    (found,) = open_dataset(clean).errors
    assert found.message.endswith(f"move images to train, or take the class out of {clean / 'classes.txt'}")
    (clean / "classes.txt").unlink()
    (found,) = open_dataset(clean).errors
    assert found.message.endswith("move images to train")
