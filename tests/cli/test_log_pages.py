"""The pages of logs. tests/cli/test_query_commands.py has the tests of the printed lines."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from amllog.cli.log_pages import FIRST_LINES, pages
from amllog.insights import connect


def test_pages_have_each_line_once(tmp_path: Path) -> None:
    """The first page is small, each line is in one page, and all of them are in time order."""
    lines = []
    for number in range(3 * FIRST_LINES):
        base = {"message": str(number), "properties": {"record_id": f"ab-{number:x}"}}
        time = f"2026-11-22T10:{number // 120:02}:{number // 2 % 60:02}Z"
        lines.append({"time": time, "data": {"baseType": "MessageData", "baseData": base}})
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    found = [*pages(Namespace(), connect(tmp_path), "")]
    assert [len(found[0]), len(found)] == [FIRST_LINES, 2]
    assert [row["message"] for page in found for row in page] == [str(number) for number in range(len(lines))]
