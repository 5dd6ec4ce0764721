"""The environment variables that are not settings."""

from __future__ import annotations

import re
from pathlib import Path

import amllog
from amllog.config import variables
from amllog.config.settings_table import SETTINGS


def test_all_names_are_in_a_table() -> None:
    """Each name of a variable in the package is in the table of settings or in the table of other variables."""
    names = {row.name for row in variables.VARIABLES} | {name for row in SETTINGS for name in row.variables}
    files = Path(amllog.__file__).parent.rglob("*.py")
    used = {name for file in files for name in re.findall(r"\bAMLLOG_[A-Z_]+[A-Z]", file.read_text("utf-8"))}
    assert used - names == set()


def test_a_variable_is_in_one_table() -> None:
    """A setting has no row in the table of other variables."""
    settings = {name for row in SETTINGS for name in row.variables}
    assert [row.name for row in variables.VARIABLES if row.name in settings] == []
    assert len({row.name for row in variables.VARIABLES}) == len(variables.VARIABLES)


def test_candidate_directories() -> None:
    """Commands look into AMLLOG_DIR, or into both default directories if it is empty."""
    assert variables.candidate_directories({}) == [".amllog", "logs/amllog"]
    assert variables.candidate_directories({"AMLLOG_DIR": " "}) == [".amllog", "logs/amllog"]
    assert variables.candidate_directories({"AMLLOG_DIR": " x/y "}) == ["x/y"]
