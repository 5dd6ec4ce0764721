"""`amllog compact`: what it does, what it leaves, what it says."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("duckdb")


def age(journal: Path) -> None:
    """Make the journal's files an hour old."""
    for path in journal.glob("*.jsonl"):
        os.utime(path, (time.time() - 3600,) * 2)


def test_a_run_is_compacted(good_run: None, cli: Any, asked: Any, journal: Path) -> None:
    """It says how much was how large and is how large now; questions have the same answers without the journals."""
    before = [asked(name, "last") for name in ("logs", "metrics", "timeline")]
    age(journal)
    ran = cli("compact")
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    (source,), (output,) = journal.glob("*.jsonl"), journal.rglob("*.parquet")
    assert first == f"before: 1 journal file, {source.stat().st_size / 1000:.1f} kB"
    assert second == f"after:  1 Parquet file, {output.stat().st_size / 1000:.1f} kB, below .amllog/compacted"
    assert "the journal files are kept" in ran.stderr
    source.unlink()
    assert [asked(name, "last") for name in ("logs", "metrics", "timeline")] == before


def test_what_is_left_has_a_reason(good_run: None, cli: Any, journal: Path) -> None:
    """What was written to a moment ago, what was compacted before, what holds no record."""
    assert cli("compact").stdout.splitlines() == [
        "nothing to compact",
        "left:   1 file, written to recently (--idle) or still open",
    ]
    (journal / "notes.jsonl").write_text('{"no": "record"}\n', encoding="utf-8")
    told = json.loads(cli("compact", ".amllog", "--idle", "0s", "--json").stdout)
    assert (told["directory"], told["sources"], told["written"], told["before"]) == (".amllog", 1, 0, 0)
    assert told["empty"] == 1
    assert cli("compact", "--idle", "0s").stdout.splitlines() == [
        "nothing to compact",
        "left:   1 file, compacted before",
        "left:   1 file, without records",
    ]


@pytest.mark.usefixtures("good_run")
def test_what_cannot_be_read_is_named(cli: Any, journal: Path) -> None:
    """A file that cannot be read is not one without record: it is named, also in JSON."""
    long, link = (journal / f"20261122T1{number}0000-node-1-abcdef.jsonl" for number in range(2))
    long.write_text("x" * 300_000 + "\n", encoding="utf-8")
    link.symlink_to(long)
    ran = cli("compact", "--idle", "0s")
    assert "without record" not in ran.stdout
    assert f"not read: {long.resolve()}" in ran.stderr and "is a symbolic link" in ran.stderr
    told = json.loads(cli("compact", "--idle", "0s", "--json").stdout)
    assert (told["empty"], len(told["unread"])) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere"),
        (["--idle", "soon"], "'soon': expected a whole number and s, m, h or d"),
        ([], "AMLLOG_DIR"),
    ],
)
def test_wrong_usage(cli: Any, arguments: list[str], said: str) -> None:
    """Exit code 2, and which argument it is."""
    ran = cli("compact", *arguments)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
