"""Ignore files of code folders."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from amllog.local.execution.ignore_rules import IgnoreRules

FILES = [
    "a.csv",
    "b.py",
    "data/a.csv",
    "data/keep.csv",
    "data/deep/x.bin",
    "src/data/y",
    "build",
    "src/build/z",
]


# The expected files are those that pathspec's gitwildmatch excludes, which azure-ai-ml uses.
@pytest.mark.parametrize(
    ("lines", "excluded"),
    [
        ([], []),
        (["# comment", "", "   ", "/", "!"], []),
        (["*.csv"], ["a.csv", "data/a.csv", "data/keep.csv"]),
        (["/*.csv"], ["a.csv"]),
        (["data/"], ["data/a.csv", "data/keep.csv", "data/deep/x.bin", "src/data/y"]),
        (["/data"], ["data/a.csv", "data/keep.csv", "data/deep/x.bin"]),
        (["data/", "!data/keep.csv"], ["data/a.csv", "data/deep/x.bin", "src/data/y"]),
        (["build/"], ["src/build/z"]),
        (["build"], ["build", "src/build/z"]),
        (["data/*.csv"], ["data/a.csv", "data/keep.csv"]),
        (["**/x.bin"], ["data/deep/x.bin"]),
        (["data/**"], ["data/a.csv", "data/keep.csv", "data/deep/x.bin"]),
        (["src/**/z"], ["src/build/z"]),
        (["[ab].*"], ["a.csv", "b.py", "data/a.csv"]),
        (["[!a].*"], ["b.py", "data/deep/x.bin"]),
        (["?.py"], ["b.py"]),
        (["*", "!*.py"], [name for name in FILES if name != "b.py"]),
        (["b.p\\y  "], ["b.py"]),
        (["[z-a].*", "[!]", "*.csv"], ["a.csv", "data/a.csv", "data/keep.csv"]),
    ],
)
def test_patterns_match_as_in_the_service(lines: list[str], excluded: list[str]) -> None:
    """Names, anchors, folders, wildcards and exceptions exclude the same files."""
    rules = IgnoreRules(lines)
    assert [name for name in FILES if rules.excludes(name)] == excluded


def test_amlignore_takes_precedence(tmp_path: Path) -> None:
    """`.gitignore` counts only if there is no `.amlignore`."""
    (tmp_path / ".gitignore").write_text("a\n")
    assert IgnoreRules.of_folder(tmp_path).excludes("a")
    (tmp_path / ".amlignore").write_text("\ufeffb\r\n", encoding="utf-8")
    rules = IgnoreRules.of_folder(tmp_path)
    assert (rules.excludes("a"), rules.excludes("b")) == (False, True)


@given(st.lists(st.text(alphabet="*?[]!^\\/ab. -#", max_size=8), max_size=4), st.text(max_size=8))
def test_any_line_is_a_rule(lines: list[str], path: str) -> None:
    """No line is an error."""
    assert IgnoreRules(lines).excludes(path) in (True, False)
