"""The catalogue of public sets: complete, with addresses that can be asked, and packaged with segkit."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

from segkit.data.catalogue import FILE, PublicSet, catalogue, public_set
from segkit.errors import ConfigError, UsageError

NAMES = {
    "mnist",
    "camvid",
    "oxford-iiit-pet",
    "voc2012",
    "isbi2012-em",
    "kvasir-seg",
    "isic2018",
    "bccd",
    "nuclei-dsb2018",
    "penn-fudan",
}


def test_the_catalogue_holds_the_sets_it_promises() -> None:
    assert set(catalogue()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_entry_says_where_its_numbers_and_files_come_from(name: str) -> None:
    entry = public_set(name)
    assert all(file.url.startswith(("https://", "http://")) and "." in file.name for file in entry.files)
    assert len({file.name for file in entry.files}) == len(entry.files)
    assert entry.describe()[0] == f"licence: {entry.licence}"
    assert len({one.name for one in entry.classes}) == len(entry.classes)
    assert entry.take or entry.recipe


@pytest.mark.parametrize(
    ("name", "module"), [("mnist", "mnist.py"), ("oxford-iiit-pet", "oxford_iiit_pet.py"), ("voc2012", "voc.py")]
)
def test_checksums_are_those_that_torchvision_states(name: str, module: str) -> None:
    """Read from its source: importing it takes seconds."""
    found = importlib.util.find_spec("torchvision")
    assert found
    assert found.origin
    stated = (Path(found.origin).parent / "datasets" / module).read_text()
    for file in public_set(name).files:
        assert file.name in stated
        assert f'"{file.md5}"' in stated


def test_the_file_is_part_of_the_package() -> None:
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    patterns = settings["tool"]["setuptools"]["package-data"]["segkit"]
    assert any(Path("segkit", pattern) == Path("segkit", "data", FILE.name) for pattern in patterns)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no public data set 'voc2021' in the catalogue\. Did you mean 'voc2012'"):
        public_set("voc2021")


def test_a_misspelt_field_is_refused() -> None:
    values = {**public_set("mnist").model_dump(by_alias=True), "license": "x"}
    with pytest.raises(ConfigError, match=r"unknown key 'license'\. Did you mean 'licence'"):
        PublicSet.parse(values)
