"""A journal directory beside a private file, for KQL of users."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

RECORD = {
    "time": "2026-11-22T20:52:35.123456Z",
    "data": {"baseType": "MessageData", "baseData": {"message": "hello", "properties": {"step_id": "s1"}}},
}
SECRET = "TOPSECRET"


@pytest.fixture
def kql_journal(tmp_path: Path) -> Path:
    """Return a journal directory with one record, beside a private file."""
    (tmp_path / "private.json").write_text(json.dumps({"word": SECRET}) + "\n")
    folder = tmp_path / "journal"
    folder.mkdir()
    (folder / "20261122T205235-n-1-abcd.jsonl").write_text(json.dumps(RECORD) + "\n")
    return folder
