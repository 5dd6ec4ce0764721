"""The output of checks and its exit code."""

from __future__ import annotations

import json

import pytest

from amllog.cli.doctor.checks import fail, ok, print_checks, warn


def test_a_failed_check_exits_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1 if a check failed, and the last line counts failures and warnings."""
    checks = [ok("Python", "3.12"), warn("clock", "slow", "set it")]
    assert print_checks(checks, as_json=False) == 0
    assert print_checks([*checks, fail("journal", "missing", "create it")], as_json=False) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[3] == "2 checks: 0 failed, 1 warning"
    assert lines[-2:] == ["               → create it", "3 checks: 1 failed, 1 warning"]


def test_checks_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has the state, the subject, the finding, the advice and the files of each check."""
    assert print_checks([ok("clock", "fine", files=["a"])], as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"state": "ok", "about": "clock", "found": "fine", "advice": "", "files": ["a"]}
    ]
