"""Parts of the work: disjoint, together all of it, the same everywhere; and many processes with one folder."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from segkit.errors import UsageError
from segkit.inference.items import ImageItem
from segkit.inference.jobs import Job, make_jobs
from segkit.inference.shards import ALL, Shard
from segkit.inference.writer import write_predictions
from tests.inference.large_run import ramp_predictor
from tests.inference.test_resume import contents, images, rows_of, without_seconds


def jobs_of(folder: Path, order: int = 0) -> list[Job]:
    files = [folder / f"{'left' if number % 3 else 'right'}/{number}.png" for number in range(23)]
    random.Random(order).shuffle(files)
    return make_jobs([ImageItem((file,), file) for file in files], Path("out"), overlay=False, probabilities=False)


@pytest.mark.parametrize("count", [1, 2, 5, 23, 30])
def test_parts_are_disjoint_and_make_up_the_whole(count: int) -> None:
    jobs = jobs_of(Path("in"))
    parts = [Shard(number, count).of(jobs) for number in range(1, count + 1)]
    assert sorted(job.path for part in parts for job in part) == sorted(job.path for job in jobs)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert all(part == [job for job in jobs if job in part] for part in parts)


def test_a_part_depends_neither_on_the_order_nor_on_where_the_folder_lies() -> None:
    here = {job.path for job in Shard(2, 4).of(jobs_of(Path("in")))}
    assert here == {job.path for job in Shard(2, 4).of(jobs_of(Path("/elsewhere/mounted"), order=1))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2", "'--shard 2': expected part/parts, as 1/4"),
        ("a/b", "'--shard a/b': expected part/parts"),
        ("0/4", "'--shard 0/4': parts count from 1 to 4"),
        ("5/4", "'--shard 5/4': parts count from 1 to 4"),
        ("1/0", "'--shard 1/0': parts count from 1 to 1"),
    ],
)
def test_what_is_no_part_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Shard.parse(text)


def test_names_of_files() -> None:
    assert Shard.parse("2/4").file("summary.csv") == "summary-2-of-4.csv"
    assert ALL.file("summary.csv") == Shard.parse("1/1").file("summary.csv") == "summary.csv"


def test_parts_write_into_one_folder_and_are_joined_without_the_network(tmp_path: Path) -> None:
    files, out = images(tmp_path / "in", 7), tmp_path / "out"
    files[3].write_bytes(b"none")
    summaries = [write_predictions(ramp_predictor(), files, out, shard=Shard(number, 3)) for number in (1, 2, 3)]
    assert [summary.files for summary in summaries] == [3, 2, 2]
    assert {path.name for path in out.glob("*.csv")} == {
        *(f"summary-{number}-of-3.csv" for number in (1, 2, 3)),
        "errors-1-of-3.csv",
    }
    assert f"2 of 3 images predicted; results in {out}; 1 failed, see {out}/errors-1-of-3" in summaries[0].describe()
    whole = write_predictions(ramp_predictor(), files, tmp_path / "whole")
    joiner = ramp_predictor()
    joiner.engine.run = None  # type: ignore[assignment, method-assign]
    joined = write_predictions(joiner, files, out, resume=True)
    assert (joined.kept, list(joined.errors)) == (6, [files[3]])
    assert without_seconds(rows_of(out / "summary.csv")) == without_seconds(rows_of(tmp_path / "whole" / "summary.csv"))
    assert contents(out / "masks") == contents(tmp_path / "whole" / "masks")
    assert whole.kept == 0
