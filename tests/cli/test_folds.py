from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Ends
from tests.experiment.conftest import write_discs


def test_folds_and_columns_that_do_not_fit_end_with_one_line(
    segkit: Ends, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_discs(tmp_path / "data", count=4)
    (data / "split.csv").unlink()
    for words, said in (
        (("--folds", "5"), "error: --folds 5: there are 4 images to cut; give at most 4"),
        (("--folds", "2", "--fold", "2"), "error: --fold 2: there are 2 folds, 0 to 1"),
        (("--fold", "2"), "error: --fold 2 is one of several: say of how many with --folds"),
        (("--stratify", "site"), "error: --stratify site: no such column, the data is no table"),
    ):
        assert segkit("train", data, "-o", tmp_path / "run", "--epochs", "1", *words) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
    assert segkit("check", data, "--stratify", "site") == 2
