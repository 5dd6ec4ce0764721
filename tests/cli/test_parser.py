"""The help of all commands, and its page in the documents."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

import amllog
from amllog.cli.main import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    """docs/cli.md is the output of `make docs`."""
    page = runpy.run_path(str(DOCS / "make_cli.py"))["page"]
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli: Any, command: str) -> None:
    """--help describes the command and its arguments, and exits with 0."""
    ran = cli(command, "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"usage: amllog {command}" in ran.stdout


def test_help_and_version(cli: Any) -> None:
    """--help lists the commands, and --version prints the version of the package."""
    assert all(f"\n    {command}" in cli("--help").stdout for command in COMMANDS)
    assert cli("--version").stdout == f"amllog {amllog.__version__}\n"
