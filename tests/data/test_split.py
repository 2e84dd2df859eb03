from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from segkit.data.config import DataConfig
from segkit.data.findings import Severity
from segkit.data.split import group_records, split_records
from segkit.data.stratify import stratify
from segkit.errors import UsageError
from segkit.structures import Record

NOTHING: dict[str, frozenset[int]] = {}


def records(count: int, split: str | None = None, prefix: str = "") -> list[Record]:
    return [Record(f"{prefix}{i:03}", Path(f"{prefix}{i:03}.png"), split=split) for i in range(count)]


def sizes(found: tuple[Record, ...]) -> tuple[int, int, int]:
    counts = Counter(record.split for record in found)
    return counts["train"], counts["val"], counts["test"]


@pytest.mark.parametrize(
    ("count", "expected"), [(3, (1, 1, 1)), (20, (14, 3, 3)), (100, (70, 15, 15)), (1000, (700, 150, 150))]
)
def test_cut_of_70_15_15(count: int, expected: tuple[int, int, int]) -> None:
    split = split_records(records(count), NOTHING, DataConfig())
    assert sizes(split.records) == expected
    assert split.origin == "70/15/15 cut by content (seed 0)"


def test_every_part_gets_an_image_from_three_on() -> None:
    for count in range(3, 40):
        assert min(sizes(split_records(records(count), NOTHING, DataConfig()).records)) >= 1


def test_cut_depends_on_content_only() -> None:
    found = records(50)
    shuffled = found.copy()
    random.Random(1).shuffle(shuffled)
    first = {record.id: record.split for record in split_records(found, NOTHING, DataConfig()).records}
    again = {record.id: record.split for record in split_records(shuffled, NOTHING, DataConfig()).records}
    other = {record.id: record.split for record in split_records(found, NOTHING, DataConfig(seed=1)).records}
    assert first == again
    assert first != other


def test_cut_hardly_changes_when_images_are_added() -> None:
    before = {record.id: record.split for record in split_records(records(200), NOTHING, DataConfig()).records}
    after = {record.id: record.split for record in split_records(records(204), NOTHING, DataConfig()).records}
    assert sum(before[id_] != after[id_] for id_ in before) <= 12


def test_each_part_has_its_share_of_every_class() -> None:
    draw = random.Random(0)
    found = records(600)
    presence = {record.id: frozenset(c for c in range(6) if draw.random() < 0.5 / (c + 1)) for record in found}
    split = split_records(found, presence, DataConfig())
    for class_ in range(6):
        counts = Counter(record.split for record in split.records if class_ in presence[record.id])
        total = sum(counts.values())
        for part, share in {"train": 0.70, "val": 0.15, "test": 0.15}.items():
            assert counts[part] == pytest.approx(share * total, abs=max(2.0, 0.03 * total))


def test_three_images_of_a_rare_class_reach_all_parts() -> None:
    found = records(40)
    presence = {
        record.id: frozenset([0, 1]) if record.id in {"003", "017", "031"} else frozenset([0]) for record in found
    }
    split = split_records(found, presence, DataConfig())
    assert {record.split for record in split.records if 1 in presence[record.id]} >= {"train"}
    assert len({record.split for record in split.records if 1 in presence[record.id]}) >= 2


def test_groups_stay_whole_and_large_ones_train() -> None:
    # The sizes of CamVid's four sequences: 490/105/105 images are wanted.
    units = {"0001TP": 124, "0006R0": 101, "0016E5": 305, "Seq05VD": 171}
    found = [Record(f"{name}_{i:05}", Path("x.png")) for name, size in units.items() for i in range(size)]
    split = split_records(group_records(found, r"^([^_]+)_"), NOTHING, DataConfig())
    parts: defaultdict[str | None, set[str | None]] = defaultdict(set)
    for record in split.records:
        parts[record.group].add(record.split)
    assert parts == {"0016E5": {"train"}, "Seq05VD": {"train"}, "0001TP": {"val"}, "0006R0": {"test"}}
    assert split.origin == "70/15/15 cut by content (seed 0, groups whole)"


def test_stratify_gives_every_part_a_unit() -> None:
    units = {"huge": [frozenset([0])] * 97, "b": [frozenset([0])], "c": [frozenset([0, 1])]}
    assert sorted(stratify(units, {"train": 0.7, "val": 0.15, "test": 0.15}, seed=0).values()) == [
        "test",
        "train",
        "val",
    ]


def test_own_parts_are_kept() -> None:
    found = [*records(6, "train", "a"), *records(2, "val", "b"), *records(2, "test", "c")]
    split = split_records(found, NOTHING, DataConfig())
    assert split.records == tuple(found)
    assert split.origin == "the data's own parts"


@pytest.mark.parametrize(("own", "lacking"), [("test", "val"), ("val", "test")])
def test_the_lacking_part_is_cut_from_train(own: str, lacking: str) -> None:
    found = [*records(24, "train", "a"), *records(21, own, "b")]
    split = split_records(found, NOTHING, DataConfig())
    counts = Counter(record.split for record in split.records)
    assert counts == {"train": 20, own: 21, lacking: 4}
    assert all(record.split == own for record in split.records if record.id.startswith("b"))
    assert f"{lacking} cut by content (seed 0) from train" in split.origin


def test_shares_replace_the_data_sets_own_parts() -> None:
    found = [*records(10, "train", "a"), *records(10, "test", "b")]
    split = split_records(found, NOTHING, DataConfig(split=(80, 10, 10)))
    assert sizes(split.records) == (16, 2, 2)


def test_no_test_part_where_none_is_wanted() -> None:
    split = split_records(records(10), NOTHING, DataConfig(split=(80, 20, 0)))
    assert sizes(split.records) == (8, 2, 0)


@pytest.mark.parametrize("shares", [(0.0, 50.0, 50.0), (100.0, 0.0, 0.0), (90.0, 20.0, -10.0)])
def test_wrong_shares_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match=r"--split .*for example 70/15/15"):
        split_records(records(10), NOTHING, DataConfig(split=shares))


def test_shares_are_read_from_text() -> None:
    assert DataConfig.parse({"split": "70/15/15"}).split == (70, 15, 15)
    assert DataConfig.parse({"split": "parts.csv"}).split == Path("parts.csv")


def test_two_images_cannot_be_cut() -> None:
    split = split_records(records(2), NOTHING, DataConfig())
    (found,) = split.findings
    assert (found.code, found.severity) == ("too-few-images", Severity.ERROR)
    assert "2 images cannot be cut into train, val, test" in found.message
    assert {record.split for record in split.records} == {None}


def test_of_no_image_nothing_is_said() -> None:
    assert split_records([], NOTHING, DataConfig()).findings == ()


def test_own_parts_stay_where_train_cannot_be_cut() -> None:
    split = split_records([*records(1, "train", "a"), *records(1, "test", "b")], NOTHING, DataConfig())
    assert [found.code for found in split.findings] == ["too-few-images"]
    assert [record.split for record in split.records] == ["train", "test"]


def test_two_groups_cannot_be_cut() -> None:
    split = split_records(group_records(records(20), "^00?(.)"), NOTHING, DataConfig(split=(1, 1, 1)))
    assert not split.findings
    split = split_records(group_records(records(20), "^0(.)"), NOTHING, DataConfig())
    assert "2 groups cannot be cut" in split.findings[0].message


def test_split_file_as_table_and_as_json(tmp_path: Path) -> None:
    found = records(4)
    table = tmp_path / "split.csv"
    table.write_text("id,split\n000,train\n001,Val\n002.png,test\n")
    split = split_records(found, NOTHING, DataConfig(split=table))
    assert [record.split for record in split.records] == ["train", "val", "test", None]
    assert split.origin == "from split.csv"
    (left_out,) = split.findings
    assert (left_out.code, left_out.files, left_out.records) == ("unassigned-image", ("003",), ("003",))
    saved = tmp_path / "splits.json"
    saved.write_text('{"train": ["000"], "val": ["001"], "test": ["002"]}')
    assert split_records(found, NOTHING, DataConfig(split=saved)).records == split.records


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,split\na,train\nb,val\n", r"names no image of the data: it lists 'a', the data has '000'"),
        ("id,split\n000,training\n", r"unknown part 'training'; allowed: train, val, test"),
        ("name,part\n000,train\n", r"split.csv lacks the column id, split; it has name, part"),
        ("id,split\n000\n", r"split.csv, line 2: 1 cell"),
        ("", r"split.csv lacks the column id, split; it has none"),
    ],
)
def test_wrong_split_files_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        split_records(records(3), NOTHING, DataConfig(split=path))


@pytest.mark.parametrize(
    ("group_by", "message"),
    [
        ("[", r"'\[' is no column \(the data is no table\) and no regular expression: "),
        ("^0", "no regular expression with a part in parentheses; put them around what images of one group share"),
        ("^(1)", r"finds nothing in 3 of 3 ids, for example '000'"),
        ("group", r"'group' is no column \(the data is no table\) and no regular expression with a part"),
    ],
)
def test_wrong_group_by_is_refused(group_by: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        group_records(records(3), group_by)


def test_group_column_of_a_table() -> None:
    found = [Record("a", Path("a.png"), group="p1", columns={"group": "p1", "patient": "7", "site": ""})]
    assert group_records(found, "group") == tuple(found) == group_records(found, None)
    assert [record.group for record in group_records(found, "Patient")] == ["7"]
    assert [record.group for record in group_records(found, "(.)")] == ["a"]
    with pytest.raises(UsageError, match="--group-by site: the column is empty for 1 of 1 image, for example 'a'"):
        group_records(found, "site")
    message = r"'patnt' is no column of the table \(group, patient, site\) and no .* Did you mean 'patient'\?"
    with pytest.raises(UsageError, match=message):
        group_records(found, "patnt")


def test_ids_of_a_split_file_that_no_image_has_are_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    path.write_text("id,split\n000,train\n00l,val\nbad,test\n")
    split = split_records(records(2), NOTHING, DataConfig(split=path), unused=["bad"])
    left_out, unknown = split.findings
    assert (left_out.code, left_out.files) == ("unassigned-image", ("001",))
    assert (unknown.code, unknown.files) == ("unknown-split-id", ("00l",))
    assert "split.csv names 1 id that no image has, for example '00l'; ids are image names without" in unknown.message
    assert unknown.message.endswith(" Did you mean '001'?")
