"""The files that doctor reports: waiting records, and files that can be deleted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from amllog.cli.doctor.leftovers import format_bytes
from amllog.insights.stores.local import temporary_directory as reading

SCRIPT = "import amllog\namllog.setup(grace_seconds={grace}).info('x')\n"
TARGET = (
    "InstrumentationKey=00000000-0000-0000-0000-000000000000;IngestionEndpoint=https://ingestion.invalid/"
)


@pytest.fixture
def disk(read_json: Any) -> Any:
    """A function that runs doctor and returns its checks about deletable files."""
    return lambda **options: [check for check in read_json("doctor", **options) if check["about"] == "disk"]


def test_delivered_records(child: Any, cli: Any, disk: Any, azure: Any, tmp_path: Path) -> None:
    """Files whose records are delivered are listed with their size, and with the command that deletes all of them."""
    child(SCRIPT.format(grace=30), env={"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.connection_string})
    directory = tmp_path / ".amllog"
    files = sorted(path for path in directory.iterdir() if path.suffix in (".jsonl", ".ack"))
    (check,) = disk()
    assert sorted(check["files"]) == [str(path) for path in files]
    assert (check["state"], len(files)) == ("ok", 2)
    assert f"2 files in {directory} can be deleted" in check["found"]
    assert format_bytes(sum(path.stat().st_size for path in files)) in check["found"]
    assert f"rm -r {directory}" in check["advice"]
    (directory / "notes.txt").write_text("mine")
    assert "rm -r" not in cli("doctor").stdout
    assert all(path.exists() for path in files)


def test_records_without_a_connection_string(child: Any, disk: Any) -> None:
    """Files that are the only copy of their records are listed with that reason."""
    child(SCRIPT.format(grace=0))
    (check,) = disk()
    assert "the only copy" in check["found"]
    assert "amllog deliver" in check["advice"]


def test_waiting_records(child: Any, disk: Any, read_json: Any) -> None:
    """Files with waiting records are not listed as deletable."""
    child(SCRIPT.format(grace=0), env={"APPLICATIONINSIGHTS_CONNECTION_STRING": TARGET})
    assert disk() == []
    assert [check["state"] for check in read_json("doctor") if check["about"] == "leftovers"] == ["warn"]


def test_a_directory_that_could_not_be_used(
    child: Any, disk: Any, cli: Any, temporary_directory: Path
) -> None:
    """Journals in the temporary directory are reported as well, with the command that delivers them."""
    blocked = {"AMLLOG_DIR": "/proc/nothing"}
    child(SCRIPT.format(grace=0), env=blocked)
    (check,) = disk()
    assert str(temporary_directory) in check["found"]
    child(SCRIPT.format(grace=0), env={**blocked, "APPLICATIONINSIGHTS_CONNECTION_STRING": TARGET})
    (journal,) = {path.parent for path in temporary_directory.rglob("*.jsonl")}
    assert f"amllog deliver {journal}" in cli("doctor").stdout


def test_folders_of_killed_commands(disk: Any, temporary_directory: Path) -> None:
    """The folder of a reading command that was killed is reported. One of a running command is not."""
    folder = temporary_directory / f"{reading.PREFIX}x"
    folder.mkdir(mode=0o700)
    (folder / reading.LOCK).write_bytes(reading.MARK)
    (check,) = disk()
    assert check["files"] == [str(folder)]
    fd = os.open(folder / reading.LOCK, os.O_RDWR)
    try:
        assert reading.try_lock(fd)
        assert disk() == []
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 30, "3.0 GiB")],
)
def test_sizes_have_a_unit(number: int, text: str) -> None:
    """A number of bytes is shown with the largest unit that fits."""
    assert format_bytes(number) == text
