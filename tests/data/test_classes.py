"""What mask values mean: every rule by a small set of facts, and the real sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segkit.data.classes import ClassDecision, read_class_file, resolve_class_map
from segkit.data.config import DataConfig
from segkit.data.facts import MaskFacts, MaskKind
from segkit.data.findings import Severity
from segkit.data.formats._base import list_records
from segkit.data.scan import scan
from segkit.errors import ConfigError, UsageError
from segkit.structures import IGNORE_INDEX, ClassMap

DEFAULT = DataConfig()


def facts(*masks: Iterable[int], kind: MaskKind = "ids", dtype: str = "uint8") -> dict[str, MaskFacts]:
    """Masks m0, m1, ... that hold these values."""
    return {
        f"m{i}": MaskFacts(size=(8, 8), values=dict.fromkeys(sorted(values), 1), dtype=dtype, kind=kind)
        for i, values in enumerate(map(set, masks))
    }


def class_file(folder: Path, text: str, name: str = "classes.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def error(decision: ClassDecision, code: str) -> tuple[str, tuple[str, ...]]:
    (finding,) = decision.findings
    assert (finding.code, finding.severity) == (code, Severity.ERROR)
    return finding.message, finding.records


def test_ids_without_gaps_are_classes() -> None:
    classes = resolve_class_map(DEFAULT, None, facts({0, 1}, {0, 2}, {1})).class_map
    assert classes.names == ("background", "class 1", "class 2")
    assert (classes.ids, classes.background) == ((0, 1, 2), 0)


def test_a_stray_value_in_one_of_many_masks_of_0_and_255_is_named_and_255_still_counts() -> None:
    masks = facts(*[{0, 255}] * 11, {0}, {0, 1, 255})
    decision = resolve_class_map(DEFAULT, None, masks)
    message, records = error(decision, "unknown-id")
    assert records == ("m12",)
    assert message.startswith("mask values 1 (in 1 of 13 masks), where the others hold 0 and 255 alone")
    assert decision.class_map.names == ("background", "foreground")
    assert decision.class_map.values[255] == 1
    # In a quarter of the masks it is no stray value, and 255 is not counted.
    assert resolve_class_map(DEFAULT, None, facts({0, 255}, {0, 255}, {0, 1}, {0, 1, 255})).findings == ()


def test_masks_that_jpeg_altered_decide_nothing() -> None:
    lossy = {"jpeg": replace(facts({0, 1, 2, 7, 99, 100, 214})["m0"], lossy=True)}
    decision = resolve_class_map(
        DataConfig(classes=("background", "square", "disc")), None, facts({0, 1}, {0, 2}) | lossy
    )
    message, records = error(decision, "unknown-id")
    assert (message, records) == (
        "masks in lossy files hold values that are no class (1); export them as PNG",
        ("jpeg",),
    )
    binary = resolve_class_map(DEFAULT, None, facts({0, 255}, {0, 255}) | lossy)
    assert binary.class_map.values[255] == 1


def test_numbers_are_no_objects_where_most_masks_hold_declared_classes() -> None:
    numbered = facts(*[{0, 1, 2}] * 4, *[set(range(count)) for count in (12, 14, 16)])
    decision = resolve_class_map(DataConfig(classes=("background", "square", "disc")), None, numbered)
    assert error(decision, "unknown-id")[1] == ("m4", "m5", "m6")


def test_a_mask_in_colour_among_masks_of_ids_is_named_alone() -> None:
    masks = facts({0, 1}, {0, 2}, {0, 1}, kind="palette") | {"odd": facts({0, 0x7F0102}, kind="rgb")["m0"]}
    decision = resolve_class_map(DEFAULT, None, masks)
    message, records = error(decision, "unknown-id")
    assert records == ("odd",)
    assert message.startswith("masks in colour among masks of class ids (1 of 4): ")
    assert decision.class_map.ids == (0, 1, 2)


def test_0_and_255_mean_0_and_1_and_that_is_said() -> None:
    decision = resolve_class_map(DEFAULT, None, facts({0, 255}, {0}))
    assert decision.notes == ("mask values 0 and 255 mean 0 and 1",)
    assert decision.class_map.names == ("background", "foreground")
    np.testing.assert_array_equal(decision.class_map.values_to_indices(np.array([[0, 255]])), [[0, 1]])


def test_255_beside_other_classes_is_not_counted() -> None:
    decision = resolve_class_map(DEFAULT, None, facts({0, 1, 255}))
    assert decision.notes == ("not counted: 255",)
    np.testing.assert_array_equal(decision.class_map.values_to_indices(np.array([[0, 1, 255]])), [[0, 1, IGNORE_INDEX]])


def test_0_and_255_with_options() -> None:
    named = resolve_class_map(DataConfig(classes=("membrane", "inside"), background=1), None, facts({0, 255}))
    assert (named.class_map.names, named.class_map.background) == (("membrane", "inside"), 1)
    ignored = resolve_class_map(DataConfig(ignore=(255,)), None, facts({0, 255}))
    assert ignored.class_map.values == {0: 0, 255: IGNORE_INDEX}
    swapped = resolve_class_map(DataConfig(map={0: 1, 255: 0}), None, facts({0, 255}))
    assert (swapped.class_map.values[0], swapped.class_map.values[255]) == (1, 0)
    alone = resolve_class_map(DataConfig(classes=("nucleus",)), None, facts({0, 255}))
    assert "mask values 255 (in 1 of 1 masks) are no class of --classes (0 nucleus)" in error(alone, "unknown-id")[0]


def test_a_gap_is_an_error_that_names_files_values_and_the_cure() -> None:
    message, concerned = error(resolve_class_map(DEFAULT, None, facts({0, 128}, {0}, {0, 128, 255})), "gap-in-ids")
    assert message == (
        "mask values 128 (in 2 of 3 masks) leave a gap, class ids are 0, 1, 2, ... (found: 0, 128, 255); "
        "give '--map 128=1', or declare the classes that are absent with --classes FILE|NAMES"
    )
    assert concerned == ("m0", "m2")


def test_the_cure_for_a_gap_works() -> None:
    decision = resolve_class_map(DataConfig(map={128: 1, 255: 2}), None, facts({0, 128, 255}))
    assert decision.findings == ()
    np.testing.assert_array_equal(decision.class_map.values_to_indices(np.array([[0, 128, 255]])), [[0, 1, 2]])


def test_ids_from_1_leave_a_gap_at_0() -> None:
    message, _ = error(resolve_class_map(DEFAULT, None, facts({1, 2}, {3})), "gap-in-ids")
    assert "give '--map 1=0,2=1,3=2'" in message


def test_the_cure_goes_on_from_the_map_given() -> None:
    message, _ = error(resolve_class_map(DataConfig(map={1: 0}), None, facts({0, 1, 2})), "gap-in-ids")
    assert "give '--map 1=0,2=1'" in message
    message, _ = error(resolve_class_map(DataConfig(map={5: 1}), None, facts({0, 5, 10})), "gap-in-ids")
    assert "give '--map 5=1,10=2'" in message


@pytest.mark.parametrize(
    ("given", "named"), [({1: 9}, "--map 1=9"), ({255: 3, 2: 1}, "--map 255=3"), ({"other": 5}, "--map other=5")]
)
def test_a_map_makes_no_gap(given: dict[Any, int], named: str) -> None:
    with pytest.raises(UsageError, match=rf"{named}: no mask value becomes the class [12], .* without gaps"):
        resolve_class_map(DataConfig(map=given), None, facts({0, 1, 2, 255}))


def test_a_value_is_mapped_or_ignored() -> None:
    with pytest.raises(ConfigError, match=r"ignore: the mask value 1 is to be ignored and mapped to a class"):
        DataConfig.parse({"map": {1: 0}, "ignore": (1,)})
    for wrong in ({"map": {1: -1}}, {"map": {-1: 1}}, {"ignore": (-1,)}, {"background": -1}):
        with pytest.raises(ConfigError, match="greater than or equal to 0"):
            DataConfig.parse(wrong)


def test_a_map_is_for_numbers() -> None:
    with pytest.raises(UsageError, match=r"--map: the masks tell classes apart by colour, not by number; give a class"):
        resolve_class_map(DataConfig(map={1: 2}), None, facts({0, 0xFF0000}, kind="rgb"))
    per_class = {"m": MaskFacts(size=(8, 8), kind="per-class", classes={"cell": 9})}
    for config in (DataConfig(map={1: 2}), DataConfig(ignore=(1,))):
        with pytest.raises(UsageError, match=r"--map and --ignore are about values in masks"):
            resolve_class_map(config, None, per_class)


def test_ids_beyond_16_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'65536' in column id is no whole number from 0 to 65535"):
        read_class_file(class_file(tmp_path, "id,name\n0,sky\n65536,road\n"))


def test_a_declared_but_absent_class_is_no_gap() -> None:
    decision = resolve_class_map(DataConfig(classes=("background", "cell", "wall", "pore")), None, facts({0, 3}))
    assert decision.findings == ()
    assert decision.class_map.num_classes == 4


def test_a_value_outside_the_declared_classes(tmp_path: Path) -> None:
    declared = read_class_file(class_file(tmp_path, "id,name\n0,background\n2,cell\n"))
    message, concerned = error(resolve_class_map(DEFAULT, declared, facts({0, 2}, {0, 7})), "unknown-id")
    assert message.startswith(
        f"mask values 7 (in 1 of 2 masks) are no class of {tmp_path / 'classes.csv'} (0 background, 2 cell)"
    )
    assert "give '--map 7=ID' or '--ignore 7', or declare them as classes" in message
    assert concerned == ("m1",)
    decision = resolve_class_map(DataConfig(ignore=(7,)), declared, facts({0, 2}, {0, 7}))
    assert decision.notes == ("classes from classes.csv", "not counted: 7")
    np.testing.assert_array_equal(decision.class_map.indices_to_ids(np.array([[0, 1]])), [[0, 2]])


def test_smoothed_masks_are_called_so() -> None:
    message, _ = error(resolve_class_map(DEFAULT, None, facts(range(0, 256, 3), range(0, 256, 5))), "unknown-id")
    assert "are traces of smoothing or JPEG; export the masks anew as PNG" in message


def test_background_options() -> None:
    masks = facts({0, 1, 2})
    assert resolve_class_map(DataConfig(background="none"), None, masks).class_map.background is None
    assert resolve_class_map(DataConfig(background=2), None, masks).class_map.background == 2
    assert resolve_class_map(DataConfig(classes=("sky", "road", "car")), None, masks).class_map.background is None
    assert resolve_class_map(DataConfig(classes=("a", "Background", "b")), None, masks).class_map.background == 1
    with pytest.raises(UsageError, match=r"--background 7: there is no such class; allowed: 0 class 0, 1 class 1"):
        resolve_class_map(DataConfig(background=7), None, masks)
    with pytest.raises(UsageError, match=r"--background 2: there is no such class; allowed: 0 class 0, 1 class 1"):
        resolve_class_map(DataConfig(background=2, ignore=(2,)), None, masks)


def test_map_to_a_class_that_is_not_declared() -> None:
    with pytest.raises(UsageError, match=r"--map 9=5: there is no such class; allowed: 0 a, 1 b"):
        resolve_class_map(DataConfig(classes=("a", "b"), map={9: 5}), None, facts({0, 9}))


def test_camvid_has_11_classes_and_void_is_not_counted(datasets: Callable[[str], Path]) -> None:
    listing = list_records(datasets("camvid"))
    assert listing.class_file is not None
    declared = read_class_file(listing.class_file)
    decision = resolve_class_map(DEFAULT, declared, scan(listing.records[::20]).masks)
    assert decision.class_map.num_classes == 11
    assert decision.class_map.names[3] == "road"
    assert decision.class_map.colors[3] == (128, 64, 128)
    assert decision.class_map.values[11] == IGNORE_INDEX
    assert decision.class_map.background is None
    assert decision.notes == ("classes from classes.csv", "not counted: void (11)")
    assert decision.findings == ()


def test_membrane_labels_are_binary(datasets: Callable[[str], Path]) -> None:
    decision = resolve_class_map(DEFAULT, None, scan(list_records(datasets("isbi2012_em")).records[:3]).masks)
    assert decision.notes == ("mask values 0 and 255 mean 0 and 1",)


def test_nuclei_are_recognised_as_instances(datasets: Callable[[str], Path]) -> None:
    masks = scan(list_records(datasets("nuclei_dsb2018")).records[:12]).masks
    decision = resolve_class_map(DEFAULT, None, masks)
    message, concerned = error(decision, "instance-ids")
    assert "instead of naming classes; give '--map other=1' to learn object against background" in message
    assert "'--task instances' to learn the objects one by one" in message
    assert len(concerned) == 12
    assert decision.class_map.num_classes == 1
    binary = resolve_class_map(DataConfig(map={"other": 1}), None, masks)
    assert (binary.class_map.names, binary.findings) == (("background", "foreground"), ())
    assert (binary.class_map.values, binary.class_map.other) == ({0: 0}, 1)


@pytest.mark.parametrize(
    ("masks", "dtype"),
    [
        ([range(12), range(30), range(7)], "uint8"),
        ([range(4), range(9), range(3)], "uint16"),
        ([{0, *range(i * 50, i * 50 + 40)} for i in range(1, 6)], "uint16"),
    ],
)
def test_numbered_objects(masks: list[Iterable[int]], dtype: str) -> None:
    assert error(resolve_class_map(DEFAULT, None, facts(*masks, dtype=dtype)), "instance-ids")[1]
    assert error(resolve_class_map(DataConfig(map={5: 1}), None, facts(*masks, dtype=dtype)), "instance-ids")[1]
    declared = DataConfig(classes=("background", "cell"))
    assert error(resolve_class_map(declared, None, facts(*masks, dtype=dtype)), "instance-ids")[1]


def test_many_classes_are_no_objects() -> None:
    streets = [set(range(19)) - {missing} for missing in (3, 18, 18, 11, 7)]
    assert resolve_class_map(DEFAULT, None, facts(*streets)).findings == ()
    complete = [range(12)] * 8 + [range(9)]
    assert resolve_class_map(DEFAULT, None, facts(*complete)).findings == ()
    assert resolve_class_map(DEFAULT, None, facts({0, 1}, {0, 1, 2}, {0}, dtype="uint16")).findings == ()


COLORS = "id,name,r,g,b\n0,background,0,0,0\n1,artery,255,0,0\n2,vein,0,0,255\n3,void,255,255,255\n"


def test_colors_get_their_meaning_from_the_class_file(tmp_path: Path) -> None:
    declared = read_class_file(class_file(tmp_path, COLORS))
    decision = resolve_class_map(DEFAULT, declared, facts({0, 0xFF0000}, {0, 0x0000FF, 0xFFFFFF}, kind="rgb"))
    raw = np.array([[0, 0xFF0000, 0x0000FF, 0xFFFFFF]])
    np.testing.assert_array_equal(decision.class_map.values_to_indices(raw), [[0, 1, 2, IGNORE_INDEX]])
    assert decision.findings == ()
    assert decision.notes == ("classes from classes.csv", "not counted: void (3)")


def test_blue_255_is_a_color_and_not_the_ignored_value(tmp_path: Path) -> None:
    declared = read_class_file(class_file(tmp_path, COLORS))
    decision = resolve_class_map(DEFAULT, declared, facts({0, 0xFF}, {0xFF0000}, kind="rgb"))
    assert decision.class_map.values[0xFF] == 2


def test_unknown_colors_are_listed(tmp_path: Path) -> None:
    masks = facts({0, 0xFF0000}, {0x00FF07}, kind="rgb")
    message, concerned = error(resolve_class_map(DEFAULT, None, masks), "unknown-id")
    assert "nothing says which classes they are: (0, 0, 0), (0, 255, 7), (255, 0, 0); give a class file" in message
    declared = read_class_file(class_file(tmp_path, COLORS))
    message, concerned = error(resolve_class_map(DEFAULT, declared, masks), "unknown-id")
    assert message.startswith("mask colours (0, 255, 7) (in 1 of 2 masks) are no class of")
    assert concerned == ("m1",)


def test_gray_stored_as_color_is_ids() -> None:
    decision = resolve_class_map(DEFAULT, None, facts({0, 0x010101}, {0x020202}, kind="rgb"))
    assert decision.class_map.num_classes == 3
    assert decision.notes == ("masks are gray stored as colour: the gray values are the ids",)
    np.testing.assert_array_equal(
        decision.class_map.values_to_indices(np.array([[0, 0x010101, 0x020202]])), [[0, 1, 2]]
    )
    binary = resolve_class_map(DEFAULT, None, facts({0, 0xFFFFFF}, kind="rgb"))
    np.testing.assert_array_equal(binary.class_map.values_to_indices(np.array([[0, 0xFFFFFF]])), [[0, 1]])


def test_a_gray_mask_among_colored_ones_keeps_its_color(tmp_path: Path) -> None:
    voc = "name,r,g,b\nbackground,0,0,0\nmotorbike,0,0,128\ntelevision,128,128,128\n"
    declared = read_class_file(class_file(tmp_path, voc))
    classes = resolve_class_map(DEFAULT, declared, facts({0, 0x80}, {0, 0x808080}, kind="rgb")).class_map
    np.testing.assert_array_equal(classes.values_to_indices(np.array([[0x80, 0x808080]])), [[1, 2]])


def per_class(**classes: int) -> MaskFacts:
    return MaskFacts(size=(8, 8), dtype="bool", kind="per-class", classes=classes)


def test_one_file_per_class() -> None:
    masks = {"a": per_class(nucleus=5), "b": per_class(cell=3, nucleus=2)}
    assert resolve_class_map(DEFAULT, None, masks).class_map.names == ("background", "cell", "nucleus")
    named = DataConfig(classes=("background", "nucleus", "cell"))
    assert resolve_class_map(named, None, masks).class_map.names == ("background", "nucleus", "cell")
    without = resolve_class_map(DataConfig(background="none"), None, masks).class_map
    assert (without.names, without.background) == (("cell", "nucleus"), None)
    message, concerned = error(resolve_class_map(DataConfig(classes=("background", "cell")), None, masks), "unknown-id")
    assert "mask files are called nucleus, which is no class of --classes that counts; add it there" in message
    assert concerned == ("a", "b")


def test_unreadable_masks_do_not_decide() -> None:
    masks = facts({0, 1}) | {"broken": MaskFacts(error="cut short")}
    assert resolve_class_map(DEFAULT, None, masks).class_map.num_classes == 2


def test_class_files_of_every_kind(tmp_path: Path) -> None:
    names = read_class_file(class_file(tmp_path, "background\nred blood cell\n\n", "classes.txt"))
    assert (names.names, names.ids, names.background) == (("background", "red blood cell"), (0, 1), 0)
    colors = read_class_file(class_file(tmp_path, "64 128 64\tAnimal\n0 0 0\t\tVoid\n", "label_colors.txt"))
    assert (colors.names, colors.colors, colors.ignored) == (("Animal", "Void"), ((64, 128, 64), (0, 0, 0)), (1,))
    marked = read_class_file(class_file(tmp_path, "id;name;ignore\n1;cell;0\n4;dirt;1\n"))
    assert (marked.ids, marked.ignored) == ((1, 4), (4,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,title\n0,a\n", r"classes\.csv lacks the column name; it has id, title"),
        ("id,name\n0,a\n0,b\n", r"the id 0 occurs twice"),
        ("id,name\n0,a\n1,a\n", r"the name 'a' occurs twice"),
        ("id,name\nx,a\n", r"'x' in column id is no whole number"),
        ("name,r,g,b\na,0,0,256\n", r"'256' is no colour value; r, g and b are 0 to 255"),
        ("id,name\n", r"names no class"),
    ],
)
def test_class_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_class_file(class_file(tmp_path, text))


def test_missing_class_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no class file .*none\.csv; give a CSV with the columns id,name"):
        resolve_class_map(DataConfig(classes=tmp_path / "none.csv"), None, facts({0, 1}))


def test_other_covers_numbers_that_come_later() -> None:
    """A model of objects against background reads masks with more objects than its training set had, 255 included."""
    masks = {"a.png": MaskFacts(size=(1, 4), values={0: 1, 1: 1, 2: 1, 3: 1}, distinct=4, dtype="uint16")}
    classes = resolve_class_map(DataConfig(map={"other": 1}), None, masks).class_map
    raw = np.array([[0, 3, 255, 900]], np.uint16)
    assert classes.values_to_indices(raw).tolist() == [[0, 1, 1, 1]]
    assert ClassMap.from_dict(classes.to_dict()) == classes


def test_other_leaves_what_is_named_on_its_own(tmp_path: Path) -> None:
    """0 and what the options name; in masks of numbers, the class file's void 2 may be the number of an object."""
    declared = read_class_file(class_file(tmp_path, "id,name\n0,background\n1,cell\n2,void\n3,dirt\n"))
    config = DataConfig(map={"other": 1, 7: 3}, ignore=(9,))
    decision = resolve_class_map(config, declared, facts(range(12), {0, 7, 30}))
    assert (decision.class_map.names, decision.findings) == (("background", "cell", "dirt"), ())
    assert decision.notes == ("classes from classes.csv", "not counted: 9")
    raw = np.array([[0, 2, 7, 9, 30, 255]])
    assert decision.class_map.values_to_indices(raw).tolist() == [[0, 1, 2, IGNORE_INDEX, 1, 1]]


def test_other_takes_no_background_that_is_not_declared(tmp_path: Path) -> None:
    declared = read_class_file(class_file(tmp_path, "id,name\n1,cell\n"))
    decision = resolve_class_map(DataConfig(map={"other": 1}), declared, facts({0, 1, 2}, {3}))
    message, concerned = error(decision, "unknown-id")
    assert "mask values 0 (in 1 of 2 masks) are no class of" in message
    assert concerned == ("m0",)
