"""Tests of docs/reliability.md: every fault in its tables names existing tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [
    row
    for table in re.findall(r"^\| fault \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    for row in table.splitlines()
]
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_fault_has_a_test() -> None:
    """Each row of a table of faults describes the effect and names a test."""
    assert len(ROWS) > 30
    assert [
        row for row in ROWS if not TEST_NAME.search(row.split("|")[5]) or not row.split("|")[2].strip()
    ] == []


def test_every_test_exists() -> None:
    """Each test that the page names exists."""
    missing = []
    for path, name in TEST_NAME.findall(PAGE):
        file = ROOT / path
        tree = ast.parse(file.read_text(encoding="utf-8")) if file.exists() else ast.Module([], [])
        if name not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{path}::{name}")
    assert missing == []
