"""Settings: every problem in one message, in the user's own keys; YAML there and back."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from segkit.config import Config, read_yaml
from segkit.data.config import DataConfig
from segkit.errors import ConfigError


class Optimizer(Config):
    name: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1e-3, gt=0)


class Settings(Config):
    optimizer: Optimizer = Optimizer()
    epochs: int | None = None
    background: int | Literal["none"] = 0
    crops: tuple[int, ...] = ()
    title: str = ""


def problems(values: dict[str, object], model: type[Config] = Settings) -> str:
    with pytest.raises(ConfigError) as caught:
        model.parse(values, source="run.yaml")
    return str(caught.value)


def test_misspelt_key_is_answered_with_the_nearest() -> None:
    assert problems({"epoch": 3}) == "run.yaml: unknown key 'epoch'. Did you mean 'epochs'?"


def test_misspelt_nested_key_is_looked_up_among_its_neighbours() -> None:
    assert problems({"optimizer": {"learning_rat": 1}}) == (
        "run.yaml: unknown key 'optimizer.learning_rat'. Did you mean 'learning_rate'?"
    )


def test_unlike_key_is_answered_with_all() -> None:
    assert problems({"optimizer": {"zzz": 1}}).endswith("unknown key 'optimizer.zzz'. Allowed: name, learning_rate.")


def test_all_problems_come_together() -> None:
    message = problems({"optimizer": {"name": "adam", "learning_rate": 0}, "epochs": "many", "titel": "x"})
    assert message == (
        "run.yaml: optimizer.name: should be 'adamw' or 'sgd' (given: 'adam'); "
        "optimizer.learning_rate: should be greater than 0 (given: 0); "
        "epochs: should be a whole number (given: 'many'); "
        "unknown key 'titel'. Did you mean 'title'?"
    )


def test_types_are_called_by_plain_words() -> None:
    message = problems({"optimizer": 3, "epochs": 1.5, "crops": 3, "title": 3})
    assert message == (
        "run.yaml: optimizer: should be names with values (given: 3); epochs: should be a whole number (given: 1.5); "
        "crops: should be a list (given: 3); title: should be text (given: 3)"
    )


def test_a_key_of_several_types_gives_one_sentence() -> None:
    assert problems({"background": "void"}) == (
        "run.yaml: background: should be a whole number or 'none' (given: 'void')"
    )


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "inf", "nan"])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    message = problems({"optimizer": {"learning_rate": value}})
    assert message == f"run.yaml: optimizer.learning_rate: should be a finite number (given: {value!r})"


def test_position_in_a_list_is_named() -> None:
    assert problems({"crops": [256, "x"]}) == "run.yaml: crops.1: should be a whole number (given: 'x')"


def test_missing_key_shows_no_values() -> None:
    class Named(Config):
        name: str

    assert problems({}, Named) == "run.yaml: name: is missing"


def test_keys_are_called_what_the_user_knows_them_by() -> None:
    """Entries of a value by the value's name; what differs in nothing but the key is said once."""
    names = {
        "optimizer.learning_rate": "--learning-rate",
        "crops": "--crops",
        "epochs": "--number",
        "title": "--number",
    }
    values = {"optimizer": {"learning_rate": -1}, "crops": [1, "x"], "epochs": [], "title": []}
    with pytest.raises(ConfigError) as caught:
        Settings.parse(values, "options", names)
    assert str(caught.value) == (
        "options: --learning-rate: should be greater than 0 (given: -1); "
        "--number: should be a whole number (given: []); "
        "--crops: should be a whole number (given: 'x'); --number: should be text (given: [])"
    )


def test_built_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().epochs = 3  # type: ignore[misc]


def test_yaml_there_and_back(tmp_path: Path) -> None:
    settings = DataConfig(classes=("Zellkörper", "膜"), map={128: 1}, split=(0.7, 0.1, 0.2), ignore=(255,))
    settings.to_yaml(tmp_path / "data.yaml")
    assert DataConfig.from_yaml(tmp_path / "data.yaml") == settings
    assert "膜" in (tmp_path / "data.yaml").read_text(encoding="utf-8")


def test_empty_yaml_means_defaults(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("# nothing yet\n")
    assert Settings.from_yaml(path) == Settings()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epochs: [1", r"cannot read the configuration .*run\.yaml: .*expected"),
        ("- epochs", r"run\.yaml: expected 'key: value' lines, found list"),
        ("epochs", r"run\.yaml: expected 'key: value' lines, found str"),
    ],
)
def test_unusable_yaml(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_missing_yaml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read the configuration .*none\.yaml: No such file or directory"):
        read_yaml(tmp_path / "none.yaml")
