"""The files of a step as artifacts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from amllog.local.azureml.artifacts import ArtifactStore
from amllog.local.job_records.step_files import add_files, driver_logs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a step with outputs, logs and driver logs."""
    folder = tmp_path / "step"
    for name in ("work/outputs/model", "work/logs", "work/src", "user_logs"):
        (folder / name).mkdir(parents=True)
    (folder / "work/outputs/model/weights.bin").write_bytes(b"\x00" * 10)
    (folder / "work/logs/train.log").write_text("log")
    (folder / "work/src/train.py").write_text("code")
    (folder / "user_logs/std_log_process_01.txt").write_text("one")
    (folder / "user_logs/std_log_process_00.txt").write_text("zero")
    return folder


def test_outputs_logs_and_driver_logs(folder: Path, tmp_path: Path) -> None:
    """They become artifacts under their names, without the code. An uploaded artifact stays, links are not followed."""
    (folder / "work/outputs/link").symlink_to("/etc/hostname")
    os.mkfifo(folder / "work/outputs/pipe")
    store = ArtifactStore(tmp_path)
    store.write(store.create("ExperimentRun", "dcid.r", "logs/train.log"), b"uploaded")
    assert add_files(store, "dcid.r", folder / "work", folder) == []
    artifacts = {
        item.path: item.file.read_bytes() for item in store.list_container("ExperimentRun", "dcid.r")
    }
    assert artifacts == {
        "logs/train.log": b"uploaded",
        "outputs/model/weights.bin": b"\x00" * 10,
        "user_logs/std_log_process_00.txt": b"zero",
        "user_logs/std_log_process_01.txt": b"one",
    }
    assert [path.name[-6:-4] for path in driver_logs(folder)] == ["00", "01"]
    store.close()


def test_the_files_of_the_step_stay(folder: Path, tmp_path: Path) -> None:
    """A later upload of the same name changes the artifact and not the file of the step."""
    store = ArtifactStore(tmp_path)
    add_files(store, "dcid.r", folder / "work", folder)
    store.write(store.key("ExperimentRun", "dcid.r", "logs/train.log"), b"new")
    assert (folder / "work/logs/train.log").read_text() == "log"
    assert store.read(store.key("ExperimentRun", "dcid.r", "logs/train.log")) == b"new"
    store.close()


def test_problems_are_reported(folder: Path, tmp_path: Path) -> None:
    """A file with an invalid name is reported, and the others are added."""
    (folder / "work/outputs/a\nb").write_text("x")
    store = ArtifactStore(tmp_path)
    (problem,) = add_files(store, "dcid.r", folder / "work", folder)
    assert "is no artifact of the run: An artifact name has 1 to 5000 characters" in problem
    assert len(store.list_container("ExperimentRun", "dcid.r")) == 4
    store.close()
