"""`amllog status`, with real journals."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from amllog.cli import status

from .conftest import write_old  # isort: skip

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
UNREACHABLE = "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:9/"


@pytest.mark.usefixtures("good_run")
def test_records_without_a_connection_string(cli: Any, read_json: Any) -> None:
    """Without a connection string no record is waiting, and status prints the number of kept records."""
    report = read_json("status")
    assert (report["accepted"], report["waiting"], report["refused"], report["unaddressed"]) == (8, 0, 0, 8)
    ran = cli("status")
    assert (ran.returncode, "8 records written without a connection string" in ran.stdout) == (0, True)
    ran = cli("deliver")
    assert (ran.returncode, "no destination: set APPLICATION" in ran.stderr) == (2, True)


def test_invalid_settings(cli: Any, journal: Path) -> None:
    """`amllog status` works with invalid settings, and `amllog deliver` rejects them."""
    write_old(journal, [1])
    assert cli("status", journal, env={"AMLLOG_LEVEL": "loud"}).returncode == 0
    assert cli("deliver", env={"AMLLOG_LEVEL": "loud"}).returncode == 2


def test_unreadable_files_are_in_the_notes(journal: Path) -> None:
    """Files that are not segments and checkpoints with invalid lines are in the notes, and the rest is counted."""
    good = write_old(journal, [1, 2])
    entry = '{"outlet": "app_insights", "to": 0, "delivered": 0}\n'
    good.with_suffix(".ack").write_text(entry + '{"outlet": "app_insights"}\nnonsense\n')
    for number, make in enumerate((lambda path: path.write_text("hello\n"), os.mkfifo, os.mkdir)):
        make(journal / f"20260101T00000{number}-other-1-abcd.jsonl")
    (journal / "20260101T000009-other-1-abcd.jsonl").symlink_to(good)
    report = status.report(journal, {})
    assert [row["file"] for row in report["files"]] == [good.name]
    assert report["files"][0]["records"] == 2
    assert len(report["notes"]) == 5, report["notes"]
    assert all("is not read: " in note or "invalid lines" in note for note in report["notes"])


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root may read everything")
def test_an_unreadable_directory(cli: Any, tmp_path: Path) -> None:
    """An unreadable directory is an error of both commands, and not an empty journal."""
    write_old(tmp_path / "journal", [0])
    (tmp_path / "journal").chmod(0)
    try:
        for command in ("status", "deliver"):
            ran = cli(command, str(tmp_path / "journal"), env={VARIABLE: UNREACHABLE})
            assert (ran.returncode, "cannot be read: Permission denied" in ran.stderr) == (2, True)
    finally:
        (tmp_path / "journal").chmod(0o700)
