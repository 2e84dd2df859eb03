"""Values of options as people type them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from segkit.cli import options
from segkit.errors import UsageError
from segkit.experiment.config import ModelSettings
from segkit.models import list_models
from segkit.models.backbones._base import BACKBONES
from segkit.models.decoders._base import DECODERS
from segkit.models.heads.detect import build_detect_head
from segkit.models.options import check_options, default_options


def test_map_takes_pairs_apart_and_joined() -> None:
    assert options.parse_map(["128=1", "200=2,255=0"]) == {128: 1, 200: 2, 255: 0}


@pytest.mark.parametrize("text", ["128", "128=", "a=1", "1=2=3"])
def test_map_refuses_what_is_no_pair(text: str) -> None:
    with pytest.raises(UsageError, match=rf"--map {text}: expected mask value = class id, for example --map 128=1"):
        options.parse_map([text])


def test_map_gives_a_value_one_class() -> None:
    with pytest.raises(UsageError, match=r"--map 1=0,1=2: the mask value 1 is given twice; give it one class"):
        options.parse_map(["1=0", "1=2"])


@pytest.mark.parametrize("text", ["0,1", "no", ""])
def test_background_is_one_id_or_none(text: str) -> None:
    assert options.parse_background("none") == "none"
    assert options.parse_background("2") == 2
    with pytest.raises(UsageError, match=rf"--background {text}: expected one class id, as 0, or none"):
        options.parse_background(text)


def test_integers() -> None:
    assert options.parse_integers("255,11", "--ignore") == (255, 11)
    with pytest.raises(UsageError, match="--ignore void: expected whole numbers"):
        options.parse_integers("void", "--ignore")


def test_classes_are_names_or_a_file(tmp_path: Path) -> None:
    assert options.parse_classes("sky, road,car") == ("sky", "road", "car")
    assert options.parse_classes("classes.csv") == Path("classes.csv")
    assert options.parse_classes(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("text", ["70/15/15", "0.7/0.15/0.15"])
def test_split_shares(text: str) -> None:
    assert options.parse_split(text) == pytest.approx((0.7, 0.15, 0.15))


def test_split_is_a_file_where_it_is_no_shares() -> None:
    assert options.parse_split("folds/split.csv") == Path("folds/split.csv")


@pytest.mark.parametrize("text", ["70/15/25", "1/1/1"])
def test_split_shares_add_up(text: str) -> None:
    with pytest.raises(UsageError, match=f"--split {text}: the shares of train/val/test add up to 100"):
        options.parse_split(text)


@pytest.mark.parametrize("text", ["0/50/50", "100/0/0"])
def test_train_and_val_need_a_share(text: str) -> None:
    with pytest.raises(UsageError, match=f"--split {text}: train and val need shares above 0"):
        options.parse_split(text)


def test_assignments_are_typed() -> None:
    assert options.parse_assignments(
        ["width=24,depth=5", "norm=batch", "rate=0.5", "bias=false,center=True", "rates=12x24x36", "channels=auto"],
        "--backbone-option",
    ) == {
        "width": 24,
        "depth": 5,
        "norm": "batch",
        "rate": 0.5,
        "bias": False,
        "center": True,
        "rates": (12, 24, 36),
    }
    with pytest.raises(UsageError, match="--backbone-option width: expected name=value"):
        options.parse_assignments(["width"], "--backbone-option")


def test_every_default_that_segkit_models_prints_is_read_back() -> None:
    for row in list_models():
        name = row["name"]
        build: Callable[..., object]
        match row["kind"], name:
            case "backbone", _:
                build = BACKBONES.get(name).build
            case "decoder", _:
                build = DECODERS.get(name).build
            case _, "detect":
                build = build_detect_head
            case _:
                assert row["options"] == []
                continue
        given = options.parse_assignments(row["options"], "--option")
        checked = check_options(name, build, ModelSettings(decoder_options=given).decoder_options)
        assert checked == default_options(build), name


def test_class_weights() -> None:
    assert options.parse_class_weights("balanced") == "balanced"
    assert options.parse_class_weights("1,2.5") == (1.0, 2.5)
    with pytest.raises(UsageError, match="--class-weights heavy: expected 'balanced' or one number per class"):
        options.parse_class_weights("heavy")
    for text in ("1,nan", "1,inf", "0,1", "1,-2"):
        with pytest.raises(UsageError, match=f"--class-weights {text}: every weight is a number above 0"):
            options.parse_class_weights(text)


def test_data_settings_leave_out_what_was_not_given() -> None:
    assert options.data_settings(value_map=["255=1"], background="none") == {"map": {255: 1}, "background": "none"}


def test_an_empty_value_is_not_the_default() -> None:
    """It comes from a shell variable that was not set."""
    with pytest.raises(UsageError, match="--ignore : expected whole numbers"):
        options.data_settings(ignore="")
    with pytest.raises(UsageError, match="--split '': expected a split file, or shares"):
        options.data_settings(split="")
    assert options.data_settings(classes="") == {"classes": ()}


def test_channel_names_are_a_list() -> None:
    assert options.data_settings(channel_names="red, green,nir") == {"channel_names": ("red", "green", "nir")}
