"""Unfinished lines, and the reason why a file is not read. The tests of long lines are in test_discovery."""

from __future__ import annotations

from pathlib import Path

from amllog.insights.stores.local.duckdb_views import MAX_LINE_BYTES
from amllog.insights.stores.local.long_lines import has_long_line, has_unfinished_line, reason


def test_an_unfinished_line(tmp_path: Path) -> None:
    """Only a file whose last byte is not a line end has an unfinished line."""
    path = tmp_path / "a"
    for data, expected in ((b"{}\n", False), (b"{}\n{", True), (b"", False)):
        path.write_bytes(data)
        assert has_unfinished_line(path) is expected
    assert not has_unfinished_line(tmp_path / "missing")


def test_the_reason(tmp_path: Path) -> None:
    """The reason is a long line, the error of the system, or DuckDB."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * (MAX_LINE_BYTES + 1))
    assert has_long_line(path, 0, path.stat().st_size) and "has a line of more than" in reason(path)
    assert reason(tmp_path / "missing") == "No such file or directory"
    path.write_bytes(b"{}\n")
    assert reason(path) == "cannot be read as lines of JSON"
