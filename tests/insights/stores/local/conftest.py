"""A journal directory beside a private file, for KQL of users."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from amllog.insights import Questions

RECORD = {
    "time": "2026-11-22T20:52:35.123456Z",
    "data": {"baseType": "MessageData", "baseData": {"message": "hello", "properties": {"step_id": "s1"}}},
}
SECRET = "TOPSECRET"
OTHER = "20261123T100000-node-2-fedcba.jsonl"  # another file than that of the fixture `journal`


def messages(questions: Questions, **narrow: Any) -> list[str]:
    """Return the messages of the logs."""
    return [row["message"] for row in questions.logs(**narrow)]


@pytest.fixture
def kql_journal(tmp_path: Path) -> Path:
    """Return a journal directory with one record, beside a private file."""
    (tmp_path / "private.json").write_text(json.dumps({"word": SECRET}) + "\n")
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    return folder
