"""The folder of a fetched run."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from amllog.errors import UsageError
from amllog.insights.fetch.fetched_folder import open_run, open_step, temporary_folder, unfinished_run
from amllog.insights.fetch.remote_runs import RemoteRun

ENDED, RUNNING = RemoteRun("run_1", "train", "failed"), RemoteRun("run_1", "train", "running")


def load(directory: Path, run: RemoteRun, name: str, content: str) -> None:
    """Write one file as a fetch does."""
    folder, part = open_run(directory, run), directory / "part"
    part.write_text(content)
    folder.announce([name])
    folder.add(name, part)
    folder.save()


def test_files_of_an_ended_run_are_kept(tmp_path: Path) -> None:
    """A file is here if it was loaded after the end of the run and has its size."""
    load(tmp_path, RUNNING, "user_logs/a.txt", "part")
    assert not open_run(tmp_path, ENDED).has("user_logs/a.txt")
    load(tmp_path, ENDED, "user_logs/a.txt", "whole")
    assert open_run(tmp_path, ENDED).has("user_logs/a.txt")
    (tmp_path / "run_1/user_logs/a.txt").write_text("shorter or longer")
    assert not open_run(tmp_path, ENDED).has("user_logs/a.txt")


def test_a_checkpoint_is_not_replaced(tmp_path: Path) -> None:
    """A checkpoint to which `amllog deliver` has written since is kept, so that no record is sent twice."""
    load(tmp_path, ENDED, "logs/x.ack", "old")
    (tmp_path / "run_1/logs/x.ack").write_text("old and new")
    assert open_run(tmp_path, ENDED).has("logs/x.ack")


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    """A file, a folder or a link that amllog has not written is an error."""
    folder = open_run(tmp_path, ENDED)
    folder.save()
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder.path / "user_logs").mkdir()
    (folder.path / "user_logs/a.txt").write_text("mine")
    (folder.path / "user_logs/b.txt").mkdir()
    (folder.path / "logs").symlink_to(outside)
    names = ("user_logs/a.txt", "user_logs/b.txt", "logs/c.txt", "user_logs/a.txt/d.txt", "../d.txt")
    folder.announce(names)
    for name in names:
        with pytest.raises(OSError):
            folder.target(name)
    assert (folder.path / "user_logs/a.txt").read_text() == "mine"
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "link", "other run", "foreign"])
def test_folders_of_others_are_not_used(tmp_path: Path, kind: str) -> None:
    """A folder with files of another program or of another run is an error that names it."""
    place = tmp_path / "run_1"
    if kind == "link":
        place.symlink_to(tmp_path)
    elif kind != "file":
        place.mkdir()
        content = (
            {"run_id": "run_1"} if kind == "foreign" else {"run_id": "run_2", "written_by": "amllog fetch"}
        )
        (place / "run.json").write_text(json.dumps(content))
    else:
        place.write_text("mine")
    with pytest.raises((UsageError, FileExistsError), match="run_1"):
        open_run(tmp_path, ENDED)


@pytest.mark.parametrize("run_id", ["", "..", ".x", "a/b", "a\nb", "-o", "x" * 300])
def test_run_ids_that_are_no_names(tmp_path: Path, run_id: str) -> None:
    """A run id that is no name of a folder is an error."""
    with pytest.raises(UsageError, match="is no run id"):
        open_run(tmp_path, ENDED._replace(run_id=run_id))


def test_names_of_steps(tmp_path: Path) -> None:
    """Steps of one name have their own folders, which stay the same, and odd names are made safe."""
    root = open_run(tmp_path, ENDED)
    root.save()
    names = []
    for run_id, name in (("s1", "train"), ("s2", "train"), ("s1", "train"), ("s3", "../a/b"), ("s4", "..")):
        step = open_step(root.path, RemoteRun(run_id, name, "failed"))
        step.save()
        names.append(step.path.name)
    assert names == ["train", "train-s2", "train", "_a_b", "s4"]


def test_unfinished_runs(tmp_path: Path) -> None:
    """A journal below a run that had not ended is recognized, and that of an ended one or of no run is not."""
    load(tmp_path, RUNNING, "logs/amllog/x.txt", "")
    assert unfinished_run(tmp_path / "run_1/logs/amllog") == "run_1"
    load(tmp_path, ENDED, "logs/amllog/x.txt", "")
    assert unfinished_run(tmp_path / "run_1/logs/amllog") == unfinished_run(tmp_path) == ""


def test_left_behind_folders(tmp_path: Path) -> None:
    """Folders of killed fetches are deleted after an hour, and not before."""
    old, new = temporary_folder(tmp_path), temporary_folder(tmp_path)
    os.utime(old, (0, 0))
    assert {old, new} & set(tmp_path.iterdir()) == {old, new}
    latest = temporary_folder(tmp_path)
    assert set(tmp_path.iterdir()) == {new, latest}
