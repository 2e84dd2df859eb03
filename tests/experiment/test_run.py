"""Run folders: named, numbered, never overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from segkit.errors import OutputError, SegkitError, UsageError
from segkit.experiment.run import Run, environment, new_run


def test_names_count_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "my cells"
    assert new_run(None, data, "unet-smp/resnet34").folder == Path("runs/my-cells-unet-smp-resnet34-1")
    assert new_run(None, data, "unet-smp/resnet34").folder == Path("runs/my-cells-unet-smp-resnet34-2")
    (tmp_path / "runs" / "my-cells-unet-smp-resnet34-9").mkdir()
    assert new_run(None, data, "unet-smp/resnet34").folder.name == "my-cells-unet-smp-resnet34-10"
    assert new_run(None, data, "unet-plain").folder.name == "my-cells-unet-plain-1"


def test_an_existing_folder_is_refused(tmp_path: Path) -> None:
    folder = new_run(tmp_path / "run", tmp_path, "unet-plain").folder
    with pytest.raises(UsageError, match=r"exists; name another folder with -o$"):
        new_run(folder, tmp_path, "unet-plain")
    (folder / "config.yaml").touch()
    with pytest.raises(UsageError, match=r"exists; name another folder with -o, or go on with that run: .* --resume"):
        new_run(folder, tmp_path, "unet-plain")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot create .*Not a directory; name a folder you may write to with -o"):
        new_run(tmp_path / "file" / "run", tmp_path, "unet-plain")


def test_files_of_a_run_that_cannot_be_read(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", tmp_path, "unet-plain")
    with pytest.raises(SegkitError, match=r"cannot read .*splits\.json: No such file or directory; start a new run"):
        run.read_json("splits.json")
    (run.folder / "splits.json").write_text("{")
    with pytest.raises(SegkitError, match=r"cannot read .*splits\.json: it is damaged; start a new run"):
        run.read_json("splits.json")


def test_the_command_repeats_the_run_whatever_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["/usr/bin/segkit", "train", "my cells", "--epochs", "3"])
    found = environment("cpu", "fp32", Path("runs/my cells-1"))
    assert found["command"] == f"segkit train --config '{tmp_path}/runs/my cells-1/config.yaml'"
    assert found["typed"] == "segkit train 'my cells' --epochs 3"
    monkeypatch.setattr("sys.argv", ["/home/me/notebook.py"])
    assert environment("cpu", "fp32", Path("runs/my cells-1"))["typed"] is None


def test_scores_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In UTF-8, whatever the machine's own encoding is."""
    run = new_run(tmp_path / "run", tmp_path, "unet-plain")
    assert run.scores == {}
    (run.folder / "evaluation").mkdir()
    (run.folder / "evaluation" / "metrics.json").write_bytes('{"classes": "Zellkörper"}'.encode())
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, encoding="ascii": read(path, encoding=encoding))
    assert Run(run.folder).scores == {"classes": "Zellkörper"}
