"""Tests of the check of a file."""

from __future__ import annotations

from pathlib import Path

from amllog.local.checks.file_check import CheckOptions, check_file


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that does not exist is a finding."""
    plan, findings = check_file(tmp_path / "no.yml", {}, CheckOptions())
    assert (plan, [str(f) for f in findings]) == (None, [f"{tmp_path / 'no.yml'}: the file does not exist"])
