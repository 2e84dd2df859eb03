"""Settings by the names of the command line."""

from __future__ import annotations

import pytest
import typer.main

from segkit.cli.train import train
from segkit.errors import ConfigError
from segkit.experiment.config import ExperimentConfig
from segkit.experiment.flags import flags_of


def test_settings_that_were_given_have_a_flag() -> None:
    given = {
        "path": "cells",
        "task": None,
        "data": {"map": {128: 1}, "group_by": "p(.*)", "seed": None},
        "model": {"backbone_options": {"width": 3}, "decoder_options": {}},
        "training": {"budget_seconds": 9.0, "batch_size": 0},
    }
    assert flags_of(given) == {
        "path": "DATA",
        "data.map": "--map",
        "data.group_by": "--group-by",
        "model.backbone_options": "--backbone-option",
        "training.budget_seconds": "--budget",
        "training.batch_size": "--batch-size",
    }


def test_special_flags_are_flags_of_the_command() -> None:
    application = typer.Typer()
    application.command()(train)
    known = {flag for parameter in typer.main.get_command(application).params for flag in parameter.opts}
    assert {"--map", "--backbone-option", "--decoder-option", "--budget", "--group-by", "--batch-size"} <= known


def test_messages_name_the_flag() -> None:
    given = {"path": "cells", "training": {"batch_size": 0, "seed": -1}, "data": {"seed": -1}}
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.parse(given, "options", flags_of(given))
    assert str(caught.value) == (
        "options: --seed: should be greater than or equal to 0 (given: -1); "
        "--batch-size: should be greater than or equal to 1 (given: 0)"
    )
