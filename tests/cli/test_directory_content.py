"""The explanation of `amllog status` for a directory whose records need no delivery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amllog.cli.directory_content import explain

NAME = "20261122T100000-node-1-abcdef.jsonl"
LINE = json.dumps(
    {"time": "2026-11-22T10:00:00Z", "data": {"baseType": "MessageData", "baseData": {"message": "x"}}}
)
EMPTY: dict[str, Any] = {
    "waiting": 0,
    "refused": 0,
    "unaddressed": 0,
    "files": [],
    "notes": [],
    "outlets": {},
}


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (
            "2026-11-22T100000.0-0011aabb.blob",
            "1 file of other programs, which amllog does not deliver: amllog logs all",
        ),
        ("sent.jsonl", "1 file of other programs"),
        (NAME, "1 file of other programs"),
        (f"logs/amllog/{NAME}", "journals are below: amllog status "),
        (f"received/{NAME}", "`amllog serve` received the records here"),
        ("notes.txt", "there is no journal in "),
    ],
)
def test_a_directory_without_a_journal(tmp_path: Path, file: str, sentence: str) -> None:
    """The explanation names what is in the directory instead of a journal."""
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(LINE + "\n", encoding="utf-8")
    (explanation,) = explain(tmp_path, EMPTY)
    assert explanation.startswith(sentence)


def test_the_command_explains(cli: Any, child: Any, tmp_path: Path) -> None:
    """The sentence is in the answer and in JSON. A directory with records that wait has none."""
    (tmp_path / "empty").mkdir()
    ran = cli("status", tmp_path / "empty")
    assert ran.returncode == 0 and "there is no journal in " in ran.stdout
    code = "import amllog; amllog.setup(metrics='none', exporter='none').info('x')"
    child(code, env={"AMLLOG_DIR": str(tmp_path / "j")})
    details = json.loads(cli("status", tmp_path / "j", "--json").stdout)
    assert len(details["explanation"]) == int(not details["unaddressed"])
    assert explain(tmp_path, {**EMPTY, "waiting": 1}) == []
    delivered = {**EMPTY, "files": [{}], "outlets": {"app_insights": {"delivered": 3}}}
    assert explain(tmp_path, delivered) == ["no record waits: all that an outlet takes were delivered"]


def test_compacted_runs(cli: Any, tmp_path: Path) -> None:
    """Records of compacted runs whose journals are deleted are counted."""
    (tmp_path / NAME).write_text(LINE + "\n", encoding="utf-8")
    assert cli("compact", tmp_path, "--idle", "0s").returncode == 0
    (tmp_path / NAME).unlink()
    (explanation,) = explain(tmp_path, EMPTY)
    assert explanation.startswith("1 record of compacted runs, in Parquet")
