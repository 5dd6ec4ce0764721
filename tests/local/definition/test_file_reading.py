"""Tests of reading files of Azure ML's format."""

from __future__ import annotations

from pathlib import Path

from amllog.local.definition.file_reading import read_file


def test_missing_file_is_a_finding(tmp_path: Path) -> None:
    """A file that does not exist gives a finding, not an exception."""
    result = read_file(tmp_path / "a.yml", {})
    assert (result.pipeline, [f.message for f in result.findings]) == (None, ["the file does not exist"])
