"""How far a loop is: the items come through unchanged, whatever they are."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import amllog
from amllog.sources import progress


def said(items: Any, total: int | None = None, *, every: float = 10.0) -> tuple[list[Any], list[str]]:
    """What came through, and the lines."""
    lines: list[str] = []
    found = list(progress.lines(items, "work", total, lines.append))
    return found, lines


def test_lines() -> None:
    """One line at the end, with what is known of the whole."""
    assert said([1, 2, 3])[0] == [1, 2, 3]
    assert re.fullmatch(r"work: 3 of 3 \(100%\), [\d.e+]+/s", said([1, 2, 3])[1][0])
    assert re.fullmatch(r"work: 3, [\d.e+]+/s", said(iter([1, 2, 3]))[1][0])
    assert re.fullmatch(r"work: 3 of 4 \(75%\), [\d.e+]+/s", said(iter([1, 2, 3]), 4)[1][0])
    assert said([])[1] == ["work: 0 of 0"]


def test_interrupted() -> None:
    """A loop that ends early or fails says how far it was."""

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("x")

    lines: list[str] = []
    with pytest.raises(ValueError):
        list(progress.lines(failing(), "work", 10, lines.append))
    assert len(lines) == 1 and lines[0].startswith("work: 1 of 10 (10%)")


def test_through_the_logger(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """Where nobody watches, it is a line on the driver log; nothing on stderr."""
    log = amllog.setup(directory=tmp_path / "j")
    capsys.readouterr()
    assert list(log.progress(range(3), "scoring")) == [0, 1, 2]
    out, err = capsys.readouterr()
    assert out.count("scoring: 3 of 3 (100%)") == 1 and err == ""


def test_on_a_terminal(child: Any) -> None:
    """Where somebody watches, it is a bar on stderr, and no record."""
    code = """
import sys, amllog
log = amllog.setup()
sys.stderr.isatty = lambda: True
print(list(log.progress(range(3), "scoring")), amllog.status().accepted)
"""
    ran = child(code)
    assert "[0, 1, 2] 0" in ran.stdout and "scoring: 100%" in ran.stderr


@pytest.mark.parametrize("stderr", ["None", "object()", "open('/dev/null', 'w')"])
def test_odd_stderr(child: Any, stderr: str) -> None:
    """A stderr that is gone, odd or closed is nobody who watches."""
    code = f"import sys, amllog; log = amllog.setup(); sys.stderr = {stderr}\n"
    code += "if hasattr(sys.stderr, 'close'): sys.stderr.close()\n"
    code += "print(list(log.progress([1], 'x'))); sys.stderr = None"
    assert "[1]" in child(code).stdout
    assert sys.stderr is not None
