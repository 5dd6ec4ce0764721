"""Tests of the argument that names one journal directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from amllog.cli import parser
from amllog.cli.directory_argument import journal_directory
from amllog.errors import UsageError


@pytest.mark.parametrize("command", ["status", "deliver", "compact"])
@pytest.mark.parametrize("option", [[], ["--dir"], ["--directory"]])
def test_the_directory_of_each_command(command: str, option: list[str], tmp_path: Path) -> None:
    """The directory is an argument or an option of each command, and must exist."""
    options = parser.parser().parse_args([command, *option, str(tmp_path)])
    assert journal_directory(options, {}) == tmp_path
    options = parser.parser().parse_args([command, *option, str(tmp_path / "missing")])
    with pytest.raises(UsageError, match="missing: pass its directory"):
        journal_directory(options, {})


def test_the_directory_of_the_environment(tmp_path: Path) -> None:
    """Without an argument, it is that of AMLLOG_DIR."""
    options = parser.parser().parse_args(["compact"])
    assert journal_directory(options, {"AMLLOG_DIR": str(tmp_path)}) == tmp_path
