"""The folder of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights.driver_logs.run_places import RunFolder, default_places, has_run, run_folders, select

from .conftest import write_files, write_json  # isort: skip


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two local runs. The one with the lower id is the later one."""
    for number, (run_id, step_id) in enumerate((("run_b", "s_1"), ("run_ab", "s_2"), ("run_a", "s_3"))):
        run = write_files(tmp_path / "amllog-runs" / run_id / "steps" / "train", user_logs__std_log="x")
        write_json(run / "step.json", run_id=step_id, name="train")
        path = tmp_path / "amllog-runs" / run_id / "run.json"
        write_json(path, run_id=run_id, name="p")
        os.utime(path, (number, number))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "run_ids", "step_id"),
    [
        ("", ["run_a"], ""),
        ("last", ["run_a"], ""),
        ("last~2", ["run_b"], ""),
        ("run_b", ["run_b"], ""),
        ("run_a", ["run_a"], ""),
        ("run_ab", ["run_ab"], ""),
        ("s_1", ["run_b"], "s_1"),
        ("all", ["run_b", "run_ab", "run_a"], ""),
    ],
)
def test_names_of_runs(place: Path, name: str, run_ids: list[str], step_id: str) -> None:
    """A run is named by its id, the beginning of it, the id of a step, or its place in time."""
    places = default_places(place)
    runs = select(run_folders(places), name, places)
    assert [run.run_id for run in runs] == run_ids
    assert [len(run.jobs([])) for run in runs] == [1] * len(runs)
    assert {run.step_id for run in runs} == {step_id}


def test_the_order_of_steps(tmp_path: Path) -> None:
    """Steps are in the order of their start. Those that did not start follow in the order of the plan."""
    for name, started in (("a", None), ("b", None), ("c", 3), ("d", 2)):
        write_json(tmp_path / "steps" / name / "step.json", name=name, started=started)
    write_json(tmp_path / "run.json", run_id="r", steps=["d", "c", "b", "a"])
    assert [job.name for job in RunFolder(tmp_path, "r", "p").jobs([])] == ["d", "c", "b", "a"]


def test_runs_with_driver_logs(place: Path) -> None:
    """A complete id of a run with a folder, and nothing else."""
    assert has_run(place, "run_a")
    assert not any(
        has_run(place, run_id) for run_id in ("run", "s_1", "", "../amllog-runs/run_a", "\0", "x" * 999)
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("run_", "beginning of 3 runs"),
        ("nix", "no driver logs of run nix"),
        ("last~3", "there are 3 runs"),
        ("s_", "of 3"),
    ],
)
def test_names_without_one_run(place: Path, name: str, message: str) -> None:
    """A name that no run has, or several, is an error that lists those that exist."""
    with pytest.raises(UsageError, match=message):
        select(run_folders([place]), name, [place])


def test_any_folder(place: Path) -> None:
    """A place is a run, a folder of runs, the working directory above it, or a download without the file of a run."""
    runs = place / "amllog-runs"
    assert len(run_folders([place])) == len(run_folders([runs])) == len(run_folders([runs, place])) == 3
    assert [run.run_id for run in run_folders([runs / "run_b"])] == ["run_b"]
    download = write_files(place / "cool_name", artifacts__user_logs__std_log="x")
    assert run_folders([download]) == [RunFolder(download, "cool_name", "cool_name")]
    assert not run_folders([download])[0].is_local


def test_downloads_in_one_folder(tmp_path: Path) -> None:
    """A downloaded job is named by its folder, and a working directory that is one needs no name."""
    for name in ("cool_name", "cold_name"):
        write_files(tmp_path / name, artifacts__user_logs__std_log="x")
    (tmp_path / "cool_name_2").mkdir()
    runs = run_folders([tmp_path])
    assert [run.run_id for run in select(runs, "cool", [tmp_path])] == ["cool_name"]
    with pytest.raises(UsageError, match="beginning of 2 runs: cold_name, cool_name"):
        select(runs, "co", [tmp_path])
    assert (default_places(tmp_path), default_places(tmp_path / "cool_name")) == (
        [],
        [tmp_path / "cool_name"],
    )
