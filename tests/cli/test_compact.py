"""`amllog compact`: the result and the skipped files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")


def age(journal: Path) -> None:
    """Set the time of the journal files to an hour ago."""
    for path in journal.glob("*.jsonl"):
        os.utime(path, (time.time() - 3600,) * 2)


def test_a_run_is_compacted(good_run: None, cli: Any, read_json: Any, journal: Path) -> None:
    """The sizes before and after are printed, and queries return the same without the journal files."""
    before = [read_json(name, "last") for name in ("logs", "metrics", "timeline")]
    age(journal)
    ran = cli("compact")
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    (source,), (output,) = journal.glob("*.jsonl"), journal.rglob("*.parquet")
    assert first == f"before: 1 journal file, {source.stat().st_size / 1000:.1f} kB"
    assert second == f"after:  1 Parquet file, {output.stat().st_size / 1000:.1f} kB, below .amllog/compacted"
    assert "the journal files are kept" in ran.stderr
    source.unlink()
    assert [read_json(name, "last") for name in ("logs", "metrics", "timeline")] == before


def test_skipped_files_have_a_reason(good_run: None, cli: Any, journal: Path) -> None:
    """Files that are recent, compacted before or empty are skipped, with the reason."""
    assert cli("compact").stdout.splitlines() == [
        "nothing to compact",
        "left:   1 file, written to recently (--idle) or still open",
    ]
    (journal / "notes.jsonl").write_text('{"no": "record"}\n', encoding="utf-8")
    result = json.loads(cli("compact", ".amllog", "--idle", "0s", "--json").stdout)
    assert (result["directory"], result["sources"], result["written"], result["before"]) == (
        ".amllog",
        1,
        0,
        0,
    )
    assert result["empty"] == 1
    assert cli("compact", "--idle", "0s").stdout.splitlines() == [
        "nothing to compact",
        "left:   1 file, compacted before",
        "left:   1 file, without records",
    ]


@pytest.mark.usefixtures("good_run")
def test_unreadable_files_are_named(cli: Any, journal: Path) -> None:
    """A file that cannot be read is named and does not count as empty, also in JSON."""
    long, link = (journal / f"20261122T1{number}0000-node-1-abcdef.jsonl" for number in range(2))
    long.write_text("x" * 300_000 + "\n", encoding="utf-8")
    link.symlink_to(long)
    ran = cli("compact", "--idle", "0s")
    assert "without record" not in ran.stdout
    assert f"not read: {long.resolve()}" in ran.stderr and "is a symbolic link" in ran.stderr
    result = json.loads(cli("compact", "--idle", "0s", "--json").stdout)
    assert (result["empty"], len(result["unread"])) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        (["--idle", "soon"], "'soon': expected a whole number and s, m, h or d"),
        ([], "AMLLOG_DIR"),
    ],
)
def test_wrong_usage(cli: Any, arguments: list[str], message: str) -> None:
    """The exit code is 2, and the message names the argument."""
    ran = cli("compact", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
