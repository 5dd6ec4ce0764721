"""Tests of the simple commands of a shell command."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from amllog.local.checks.shell_words import UNKNOWN, UnbalancedQuote, simple_commands


def read(text: str) -> list[list[str]]:
    """Return the words of each command. Words that are not literal are `?`."""
    return [[word.text if word.is_literal else "?" for word in c.words] for c in simple_commands(text)]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("python train.py --a 'x y' --b=\"z\"", [["python", "train.py", "--a", "x y", "--b=z"]]),
        ("cd src && python a.py; ls|wc -l", [["cd", "src"], ["python", "a.py"], ["ls"], ["wc", "-l"]]),
        ("a \\\n  b\nc # python no.py\nd#e", [["a", "b"], ["c"], ["d#e"]]),
        ("A=1 B='2 3' time python x.py", [["python", "x.py"]]),
        ("python x.py > out.txt 2>&1 < in", [["python", "x.py"]]),
        (f"python {UNKNOWN}/x.py $HOME *.py \"$a\" '$b'", [["python", "?", "?", "?", "?", "$b"]]),
        ("echo $(python no.py) `x y` z", [["echo", "?", "?", "z"]]),
        ("for f in *; do python $f; done; python no.py", []),
        ("python a.py; cat <<EOF\nit's\nEOF", [["python", "a.py"], ["cat"]]),
        ("if test -f x; then python a.py; fi; b", [["test", "-f", "x"], ["python", "a.py"], ["b"]]),
        ("(cd a && b) && c", [["cd", "a"], ["b"], ["c"]]),
        ("a; f() { b; }; f", [["a"]]),
        ("a=(1 2); b", []),
        ("a; ((i++)); b", [["a"]]),
        ("a; if [[ -f x && -d y ]]; then b; fi", [["a"]]),
        ("if [[ -f x ]]; then b; fi", [["?", "-f", "x", "]]"], ["b"]]),
        ("nice b; nice -n 5 b; command -v c", [["b"], ["nice", "-n", "5", "b"], ["command", "-v", "c"]]),
        ("", []),
    ],
)
def test_commands(text: str, commands: list[list[str]]) -> None:
    """Words are read as a shell reads them. Nothing is known after a loop, an array or a here-document."""
    assert read(text) == commands


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("a && b; c | d", [True, True, True, True]),
        ("a || b", [False, False]),
        ("a; b || c", [True, False, False]),
        ("if a; then b; fi; c", [False, False, False]),
        ("! a", [False]),
    ],
)
def test_certainty(text: str, certain: list[bool]) -> None:
    """A command whose failure may be handled is not certain, and neither are those after it."""
    assert [command.is_certain for command in simple_commands(text)] == certain


def test_redirections() -> None:
    """A command that writes a file is known as such."""
    assert [command.writes for command in simple_commands("a > x; b 2>&1; c >> y; d < z; e &> w")] == [
        True, False, True, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["python x.py --a 'b", 'echo "a', "echo $(a 'b)"])
def test_unbalanced_quotes(text: str) -> None:
    """A quote that does not end is an error, as in the shell."""
    with pytest.raises(UnbalancedQuote):
        simple_commands(text)


@given(st.text(st.sampled_from("ab '\"\\\n;&|()<>$`{}#=" + UNKNOWN)))
def test_any_text(text: str) -> None:
    """Any text gives commands with at least one word each, or the error."""
    try:
        assert all(command.words for command in simple_commands(text))
    except UnbalancedQuote:
        assert "'" in text or '"' in text
