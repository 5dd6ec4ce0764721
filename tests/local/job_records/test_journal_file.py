"""The file of records of scripts without amllog."""

from __future__ import annotations

import json
import time
from pathlib import Path

from amllog import insights
from amllog.local.job_records.journal_file import JournalFile, JournalRecord, RunIdentity

RUN = RunIdentity("step_1", "pipe_1", "pipe_1", "train", "digits")


def _record(message: str) -> JournalRecord:
    data = {"message": message, "severityLevel": 1, "properties": RUN.dimensions()}
    return JournalRecord(time.time(), "MessageData", data, RUN.tags())


def test_records_are_those_of_a_journal(tmp_path: Path) -> None:
    """All questions read the records, each has an id of its own, and none is for the service."""
    file = JournalFile(tmp_path / "journal")
    assert not (tmp_path / "journal").exists()
    file.append([_record("one"), _record("two \udcff")])
    file.append([_record("three")])
    file.close()
    (path,) = (tmp_path / "journal").glob("*.jsonl")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert len({line["data"]["baseData"]["properties"]["record_id"] for line in lines}) == 3
    assert not any("iKey" in line for line in lines)
    rows = list(insights.connect(tmp_path / "journal").logs("pipe_1"))
    assert [row["message"][:4].strip() for row in rows] == ["one", "two", "thre"]
    assert {row["step_name"] for row in rows} == {"train"}


def test_other_processes_leave_an_open_file_alone(tmp_path: Path, child: object) -> None:
    """Other processes of the journal neither deliver nor delete the file while it is open."""
    file = JournalFile(tmp_path)
    file.append([_record("one")])
    code = f"from amllog.journal import directory; from pathlib import Path; p = Path({str(tmp_path)!r})\n"
    code += "print([directory.claim(path, 'node-0') for path in directory.list_segments(p)])"
    assert child(code).stdout.strip() == "[None]"
    file.close()
    assert "Segment" in child(code).stdout
